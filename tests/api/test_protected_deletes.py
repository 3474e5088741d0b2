"""The checks that deletes of packages and of their files call, on rules and packages as they are stored."""

from dataclasses import replace

from shared.errors import Forbidden, PackageDeleteProtected
from shared.models import AccessLevel, InstanceSettings, Package, PipelineId, Project, TokenId, User
from shared.names import normalize_name
from shared.ports.package_rows import NewPackage
from shared.principals import Anonymous, DeployToken, Job, Principal, SignedIn
from shared.protection import ProtectedPackageType, ProtectionLevel, ProtectionTerms
from shared.usecases.protection import require_unprotected_delete, require_unprotected_file_delete
from shared.usecases.visits import Visit
from tests.api.registry import Registry

_LEVELS = (AccessLevel.MAINTAINER, AccessLevel.OWNER)


async def add_package(registry: Registry, project: Project, name: str) -> Package:
    async with registry.backends.store.writing() as rows:
        package, _ = await rows.packages.find_or_add(
            NewPackage(
                project_id=project.id,
                name=name,
                normalized_name=normalize_name(name),
                version="1.0",
                canonical_version="1",
                creator_id=None,
            )
        )
    return package


async def protect(
    registry: Registry, project: Project, pattern: str, *, push: ProtectionLevel | None, delete: ProtectionLevel | None
) -> None:
    async with registry.backends.store.writing() as rows:
        await rows.protection_rules.add(
            project.id,
            ProtectionTerms(
                package_name_pattern=pattern,
                package_type=ProtectedPackageType.PYPI,
                minimum_access_level_for_push=push,
                minimum_access_level_for_delete=delete,
            ),
        )


async def is_protected(registry: Registry, visit: Visit, package: Package) -> bool:
    """Say whether the delete of the package is refused; its files are protected just as it is."""
    found: list[bool] = []
    async with registry.backends.store.writing() as rows:
        for check in (require_unprotected_delete, require_unprotected_file_delete):
            try:
                await check(rows, visit, package)
            except PackageDeleteProtected:
                found.append(check is require_unprotected_delete)
            except Forbidden as refusal:
                found.append(refusal.reason == "Package is deletion protected.")
            else:
                found.append(False)
    assert found in ([True, True], [False, False])
    return found[0]


def principals(user: User, project: Project) -> dict[str, Principal]:
    own = TokenId(1)
    root = replace(user, is_admin=True)
    return {
        "user": SignedIn(user=user, token_id=own, scopes=("api",)),
        "job": Job(user=user, token_id=own, project=project, pipeline_id=PipelineId(1)),
        "admin": SignedIn(user=root, token_id=own, scopes=("api",)),
        "job of admin": Job(user=root, token_id=own, project=project, pipeline_id=PipelineId(1)),
        "deploy token": DeployToken(
            token_id=own, project_id=project.id, namespace_id=None, scopes=("write_package_registry",)
        ),
        "nobody": Anonymous(),
    }


async def test_who_may_delete_what_a_rule_protects(bare_registry: Registry) -> None:
    project, other = await bare_registry.add_project("app"), await bare_registry.add_project("other")
    user, _ = await bare_registry.add_user("ada")
    owner, admin = ProtectionLevel.OWNER, ProtectionLevel.ADMIN
    await protect(bare_registry, project, "for-owners*", push=None, delete=owner)
    await protect(bare_registry, project, "for-admins", push=owner, delete=admin)
    await protect(bare_registry, project, "only-pushes", push=admin, delete=None)
    await protect(bare_registry, other, "*", push=admin, delete=admin)
    asking = principals(user, project)
    always, never = {"deploy token", "nobody"}, {"admin", "job of admin"}
    for name, least in (
        ("For.Owners_2", AccessLevel.OWNER),
        ("FOR-admins", None),
        ("only-pushes", AccessLevel.NO_ACCESS),
        ("free", AccessLevel.NO_ACCESS),
    ):
        package = await add_package(bare_registry, project, name)
        for level in _LEVELS:
            for kind, principal in asking.items():
                visit = Visit(principal=principal, project=project, level=level, settings=InstanceSettings())
                is_refused = (least is None or level < least) if kind not in always else name != "free"
                expected = is_refused and kind not in never
                assert await is_protected(bare_registry, visit, package) is expected, (name, level, kind)
                off = replace(visit, settings=InstanceSettings(packages_protected_packages_delete=False))
                assert not await is_protected(bare_registry, off, package), "the setting decides"
