"""Everything that handlers can ask for, made of the open backends."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.backends import Backends
from shared.models import InstanceSettings
from shared.settings import Settings
from shared.usecases.admission import Admission
from shared.usecases.audit_events import ListAuditEvents, ShowAuditEvent
from shared.usecases.browse import ListPackageFiles, ListPackageNames
from shared.usecases.deploy_tokens import CreateDeployToken, ListDeployTokens, RevokeDeployToken, ShowDeployToken
from shared.usecases.destroy import DeletePackage, DeletePackageFile
from shared.usecases.download import OpenPackageFile, ReadCoreMetadata, ReadProvenance
from shared.usecases.forward import ForwardUnknownName
from shared.usecases.instance_settings import ChangeSettings, ShowSettings
from shared.usecases.job_token_scope import (
    AddToJobTokenScope,
    ListJobTokenScope,
    RemoveFromJobTokenScope,
    SwitchJobTokenScope,
)
from shared.usecases.job_tokens import CreateJobToken, EndJobToken, ListJobTokens
from shared.usecases.member_lists import ListMembers
from shared.usecases.members import AddMembers, ChangeMember, RemoveMember
from shared.usecases.memo import Memo
from shared.usecases.name_status import ChangeNameStatus, ShowNameStatus
from shared.usecases.namespaces import ListNamespaces, ShowNamespace
from shared.usecases.note_downloads import NoteDownloads
from shared.usecases.package_admission import PackageAdmission
from shared.usecases.package_lists import ListFilesOfPackage, ListPackagePipelines, ListPackages, ShowPackage
from shared.usecases.package_page import DescribePackage
from shared.usecases.package_status import ChangePackageStatus
from shared.usecases.personal_tokens import (
    CreatePersonalToken,
    ListPersonalTokens,
    RevokePersonalToken,
    RotatePersonalToken,
    ShowPersonalToken,
)
from shared.usecases.protection_rules import (
    ChangeProtectionRule,
    CreateProtectionRule,
    DeleteProtectionRule,
    ListProtectionRules,
)
from shared.usecases.readiness import CheckReadiness
from shared.usecases.remembered_admission import RememberedAdmission
from shared.usecases.storage_room import FindStorageRoom
from shared.usecases.tenant_admission import TenantAdmission
from shared.usecases.tenant_changes import ChangeGroup, ChangeProject, DeleteGroup, DeleteProject
from shared.usecases.tenant_lists import ListGroups, ListProjects
from shared.usecases.tenants import CreateGroup, CreateProject
from shared.usecases.upload import UploadPackageFile
from shared.usecases.users import BlockUser, CreateUser, ListUsers, ShowUser, UnblockUser
from shared.usecases.watch import WatchRegistry
from shared.usecases.yank import UnyankPackage, UnyankPackageFile, YankPackage, YankPackageFile


@dataclass(frozen=True, slots=True)
class UseCases:
    """The verbs of the registry, ready to be called."""

    admission: Admission
    memo: Memo
    remembered_admission: RememberedAdmission
    upload_package_file: UploadPackageFile
    find_storage_room: FindStorageRoom
    list_package_names: ListPackageNames
    list_package_files: ListPackageFiles
    forward_unknown_name: ForwardUnknownName
    open_package_file: OpenPackageFile
    read_core_metadata: ReadCoreMetadata
    read_provenance: ReadProvenance
    note_download: NoteDownloads
    delete_package: DeletePackage
    delete_package_file: DeletePackageFile
    change_package_status: ChangePackageStatus
    yank_package: YankPackage
    unyank_package: UnyankPackage
    yank_package_file: YankPackageFile
    unyank_package_file: UnyankPackageFile
    show_name_status: ShowNameStatus
    change_name_status: ChangeNameStatus
    describe_package: DescribePackage
    create_group: CreateGroup
    create_project: CreateProject
    create_user: CreateUser
    list_users: ListUsers
    show_user: ShowUser
    block_user: BlockUser
    unblock_user: UnblockUser
    create_personal_token: CreatePersonalToken
    list_personal_tokens: ListPersonalTokens
    show_personal_token: ShowPersonalToken
    revoke_personal_token: RevokePersonalToken
    rotate_personal_token: RotatePersonalToken
    create_job_token: CreateJobToken
    list_job_tokens: ListJobTokens
    end_job_token: EndJobToken
    switch_job_token_scope: SwitchJobTokenScope
    list_job_token_scope: ListJobTokenScope
    add_to_job_token_scope: AddToJobTokenScope
    remove_from_job_token_scope: RemoveFromJobTokenScope
    create_deploy_token: CreateDeployToken
    list_deploy_tokens: ListDeployTokens
    show_deploy_token: ShowDeployToken
    revoke_deploy_token: RevokeDeployToken
    list_namespaces: ListNamespaces
    show_namespace: ShowNamespace
    show_settings: ShowSettings
    change_settings: ChangeSettings
    tenant_admission: TenantAdmission
    list_groups: ListGroups
    change_group: ChangeGroup
    delete_group: DeleteGroup
    list_projects: ListProjects
    change_project: ChangeProject
    delete_project: DeleteProject
    list_members: ListMembers
    add_members: AddMembers
    change_member: ChangeMember
    remove_member: RemoveMember
    package_admission: PackageAdmission
    list_packages: ListPackages
    show_package: ShowPackage
    list_package_pipelines: ListPackagePipelines
    list_files_of_package: ListFilesOfPackage
    list_protection_rules: ListProtectionRules
    create_protection_rule: CreateProtectionRule
    change_protection_rule: ChangeProtectionRule
    delete_protection_rule: DeleteProtectionRule
    list_audit_events: ListAuditEvents
    show_audit_event: ShowAuditEvent
    check_readiness: CheckReadiness
    watch_registry: WatchRegistry


def make_use_cases(settings: Settings, backends: Backends, *, is_in_a_hurry: Callable[[], bool]) -> UseCases:
    """Return the use cases as the settings want them.

    Args:
        is_in_a_hurry: says whether the process is about to end, so that nobody shall wait for anything any more.
    """
    store, blobs, queue = backends.store, backends.blobs, backends.queue
    defaults = InstanceSettings(
        allow_guest_plus_roles_to_pull_packages=settings.allow_guests_to_pull,
        pypi_max_file_size=settings.max_file_size_bytes,
    )
    admission = Admission(store=store, defaults=defaults)
    check_readiness = CheckReadiness(store=store, blobs=blobs, queue=queue)
    memo = Memo(backends.change_checks, limit_bytes=settings.cache_bytes - settings.ready_answer_bytes)
    return UseCases(
        admission=admission,
        memo=memo,
        remembered_admission=RememberedAdmission(admission, memo),
        upload_package_file=UploadPackageFile(
            store=store,
            blobs=blobs,
            queue=queue,
            checks=settings.upload_checks,
            needs_sha256=settings.is_fips,
            upload_max_seconds=settings.upload_max_seconds,
            upload_wait=settings.upload_wait_for,
            quota_bytes=settings.limits.project_quota_bytes,
            is_in_a_hurry=is_in_a_hurry,
        ),
        find_storage_room=FindStorageRoom(store, settings.limits.project_quota_bytes),
        list_package_names=ListPackageNames(store),
        list_package_files=ListPackageFiles(store),
        forward_unknown_name=ForwardUnknownName(store, settings.forward_url),
        open_package_file=OpenPackageFile(store=store, blobs=blobs, memo=memo),
        read_core_metadata=ReadCoreMetadata(store, memo),
        read_provenance=ReadProvenance(store, memo),
        note_download=NoteDownloads(store),
        delete_package=DeletePackage(store, queue),
        delete_package_file=DeletePackageFile(store, queue),
        change_package_status=ChangePackageStatus(store),
        yank_package=YankPackage(store),
        unyank_package=UnyankPackage(store),
        yank_package_file=YankPackageFile(store),
        unyank_package_file=UnyankPackageFile(store),
        show_name_status=ShowNameStatus(store),
        change_name_status=ChangeNameStatus(store),
        describe_package=DescribePackage(store, ShowPackage(store)),
        create_group=CreateGroup(store),
        create_project=CreateProject(store),
        create_user=CreateUser(store),
        list_users=ListUsers(store),
        show_user=ShowUser(store),
        block_user=BlockUser(store),
        unblock_user=UnblockUser(store),
        create_personal_token=CreatePersonalToken(store),
        list_personal_tokens=ListPersonalTokens(store),
        show_personal_token=ShowPersonalToken(store),
        revoke_personal_token=RevokePersonalToken(store),
        rotate_personal_token=RotatePersonalToken(store),
        create_job_token=CreateJobToken(store),
        list_job_tokens=ListJobTokens(store),
        end_job_token=EndJobToken(store),
        switch_job_token_scope=SwitchJobTokenScope(store),
        list_job_token_scope=ListJobTokenScope(store),
        add_to_job_token_scope=AddToJobTokenScope(store),
        remove_from_job_token_scope=RemoveFromJobTokenScope(store),
        create_deploy_token=CreateDeployToken(store),
        list_deploy_tokens=ListDeployTokens(store),
        show_deploy_token=ShowDeployToken(store),
        revoke_deploy_token=RevokeDeployToken(store),
        list_namespaces=ListNamespaces(store),
        show_namespace=ShowNamespace(store),
        show_settings=ShowSettings(store, defaults),
        change_settings=ChangeSettings(store, defaults),
        tenant_admission=TenantAdmission(store, defaults),
        list_groups=ListGroups(store),
        change_group=ChangeGroup(store),
        delete_group=DeleteGroup(store),
        list_projects=ListProjects(store),
        change_project=ChangeProject(store),
        delete_project=DeleteProject(store),
        list_members=ListMembers(store),
        add_members=AddMembers(store),
        change_member=ChangeMember(store),
        remove_member=RemoveMember(store),
        package_admission=PackageAdmission(admission),
        list_packages=ListPackages(store),
        show_package=ShowPackage(store),
        list_package_pipelines=ListPackagePipelines(store),
        list_files_of_package=ListFilesOfPackage(store),
        list_protection_rules=ListProtectionRules(store),
        create_protection_rule=CreateProtectionRule(store),
        change_protection_rule=ChangeProtectionRule(store),
        delete_protection_rule=DeleteProtectionRule(store),
        list_audit_events=ListAuditEvents(store),
        show_audit_event=ShowAuditEvent(store),
        check_readiness=check_readiness,
        watch_registry=WatchRegistry(store=store, queue=queue, check_readiness=check_readiness),
    )
