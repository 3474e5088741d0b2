"""Tell and change what administrators decide for the whole instance."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.models import InstanceSettings
from shared.ports.metadata_store import AuditEvent, MetadataStore
from shared.ports.setting_rows import SettingValue
from shared.principals import SignedIn


@dataclass(frozen=True, slots=True)
class ShowSettings:
    """Tell the settings.

    Args:
        defaults: what holds where nobody has decided otherwise.
    """

    store: MetadataStore
    defaults: InstanceSettings

    async def __call__(self) -> InstanceSettings:
        """Return the settings as they are now."""
        async with self.store.reading() as rows:
            return await rows.settings.read(self.defaults)


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """Change settings.

    Args:
        defaults: what holds where nobody has decided otherwise.
    """

    store: MetadataStore
    defaults: InstanceSettings

    async def __call__(self, caller: SignedIn, changes: Mapping[str, SettingValue]) -> InstanceSettings:
        """Return the settings after the change; they hold from the next request on.

        Args:
            changes: by the names of the fields of `InstanceSettings`; empty: nothing changes.
        """
        async with self.store.writing() as rows:
            if changes:
                await rows.settings.decide(changes)
                await rows.audit(
                    AuditEvent(
                        action="instance_settings.changed",
                        actor=f"user:{caller.user.id}",
                        target="instance",
                        token_id=caller.token_id,
                        details=dict(changes),
                    )
                )
            return await rows.settings.read(self.defaults)
