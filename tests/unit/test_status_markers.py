"""What several projects say of one name together."""

import pytest

from shared.status_markers import UNMARKED, NameStatus, StatusMarker, common_marker, offers_files, takes_uploads

ARCHIVED, BECAUSE = StatusMarker(NameStatus.ARCHIVED), StatusMarker(NameStatus.ARCHIVED, "it is done")


@pytest.mark.parametrize(
    ("markers", "together"),
    [
        ([UNMARKED], UNMARKED),
        ([BECAUSE], BECAUSE),
        ([BECAUSE, BECAUSE], BECAUSE),
        ([ARCHIVED, BECAUSE], ARCHIVED),
        ([ARCHIVED, UNMARKED], UNMARKED),
        ([BECAUSE, StatusMarker(NameStatus.DEPRECATED, "it is done")], UNMARKED),
        ([], UNMARKED),
    ],
)
def test_only_what_all_projects_agree_on_is_told(markers: list[StatusMarker], together: StatusMarker) -> None:
    assert common_marker(set(markers)) == together


def test_what_a_status_means_for_uploads_and_for_files() -> None:
    meaning = {
        status: (takes_uploads(StatusMarker(status)), offers_files(StatusMarker(status))) for status in NameStatus
    }
    assert meaning == {
        NameStatus.ACTIVE: (True, True),
        NameStatus.ARCHIVED: (False, True),
        NameStatus.DEPRECATED: (True, True),
        NameStatus.QUARANTINED: (False, False),
    }
