"""Who is external works in what others have let them into, and takes no names of the registry's own."""

from services.api.routes import API
from shared.models import AccessLevel
from tests.api.registry import Registry
from tests.api.tenants import add_group, join_group


async def test_an_external_user_takes_no_name_at_the_top_and_has_no_projects_of_their_own(
    bare_registry: Registry,
) -> None:
    _, token = await bare_registry.add_user("visitor", is_external=True)
    group = await bare_registry.post_json(f"{API}/groups", {"name": "Ours", "path": "ours"}, token=token)
    assert (group.status, group.json) == (403, {"message": "403 Forbidden"})
    project = await bare_registry.post_json(f"{API}/projects", {"name": "mine"}, token=token)
    sentence = "Personal project creation is not allowed. Please contact your administrator with questions"
    assert (project.status, project.json) == (403, {"message": f"403 Forbidden - {sentence}"})
    told = (await bare_registry.get(f"{API}/user", token=token)).json
    assert (told["can_create_group"], told["can_create_project"]) == (False, False)


async def test_an_external_user_may_add_to_a_group_that_let_them_in(bare_registry: Registry) -> None:
    user, token = await bare_registry.add_user("visitor", is_external=True)
    group = await add_group(bare_registry, "hosts")
    await join_group(bare_registry, group, user, AccessLevel.MAINTAINER)
    for kind, parent in (("groups", "parent_id"), ("projects", "namespace_id")):
        body = {"name": "new", "path": f"new-{kind}", parent: group.id}
        assert (await bare_registry.post_json(f"{API}/{kind}", body, token=token)).status == 201


async def test_everybody_else_may_take_both(bare_registry: Registry) -> None:
    _, token = await bare_registry.add_user("colleague")
    for kind in ("groups", "projects"):
        assert (await bare_registry.post_json(f"{API}/{kind}", {"name": "x", "path": "x"}, token=token)).status == 201
    told = (await bare_registry.get(f"{API}/user", token=token)).json
    assert (told["can_create_group"], told["can_create_project"]) == (True, True)
