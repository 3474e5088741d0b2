"""Make a new registry usable: an administrator with a token, and a first project to publish to."""

from dataclasses import dataclass

from shared.models import ProjectId, RegistryAccess, TokenId, User, Visibility
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.usecases.token_secrets import digest_of

ROOT_USERNAME = "root"
FIRST_PROJECT_PATH = "packages"
_ROOT_TOKEN_NAME = "root token of the configuration"  # noqa: S105 - a name, not a secret
_ROOT_TOKEN_SCOPES = ("api", "read_api", "read_user")


@dataclass(frozen=True, slots=True)
class BootstrapResult:
    """What a newcomer needs to know.

    Args:
        project_id: the first project.
        created: this call made the administrator.
    """

    project_id: ProjectId
    created: bool


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Ensure that the administrator `root`, its configured token and the project `root/packages` exist."""

    store: MetadataStore

    async def __call__(self, root_token: str) -> BootstrapResult:
        """Add what is missing, and make `root_token` the secret of the one configured token.

        Args:
            root_token: the secret itself; only its digest is stored.

        Idempotent: by token.
        """
        async with self.store.writing() as rows:
            root = await rows.tenants.user_by_username(ROOT_USERNAME)
            is_new = root is None
            if root is None:
                root = await rows.tenants.add_user(
                    username=ROOT_USERNAME,
                    name="Administrator",
                    email="root@localhost",
                    is_admin=True,
                    is_external=False,
                )
                await rows.audit(AuditEvent(action="user.created", actor="system", target=f"user:{root.id}"))
            await self._set_token(rows, root, digest_of(root_token))
            project_id = await self._first_project(rows, root)
        return BootstrapResult(project_id=project_id, created=is_new)

    async def _set_token(self, rows: Writing, root: User, digest: str) -> None:
        tokens = await rows.tokens.of_user(root.id, name=_ROOT_TOKEN_NAME)
        if not tokens:
            added = await rows.tokens.add_personal(
                root.id,
                digest=digest,
                name=_ROOT_TOKEN_NAME,
                scopes=_ROOT_TOKEN_SCOPES,
                expires_at=None,
            )
            await _audit_token(rows, "access_token.created", added.id)
        elif tokens[0].digest != digest:
            await rows.tokens.replace_secret(tokens[0].id, digest=digest)
            await _audit_token(rows, "access_token.replaced", tokens[0].id)
        # The same secret stays as it is: one that was revoked must not come back with a restart.

    async def _first_project(self, rows: Writing, root: User) -> ProjectId:
        full_path = f"{ROOT_USERNAME}/{FIRST_PROJECT_PATH}"
        project = await rows.tenants.project_by_path(full_path)
        if project is None:
            namespace = await rows.tenants.namespace(root.namespace_id)
            if namespace is None:
                raise LookupError("the administrator has no namespace")
            project = await rows.tenants.add_project(
                namespace=namespace,
                name=FIRST_PROJECT_PATH,
                path=FIRST_PROJECT_PATH,
                description="The first project of this registry.",
                visibility=Visibility.PRIVATE,
                registry_access=RegistryAccess.ENABLED,
                creator_id=root.id,
            )
            await rows.audit(
                AuditEvent(
                    action="project.created", actor="system", target=f"project:{project.id}", project_id=project.id
                )
            )
        return project.id


async def _audit_token(rows: Writing, action: str, token_id: TokenId) -> None:
    await rows.audit(AuditEvent(action=action, actor="system", target=f"access_token:{token_id}"))
