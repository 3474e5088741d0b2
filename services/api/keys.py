"""What hangs on the application and on a request, and under which key."""

from aiohttp import web

from services.api.lifecycle import Lifecycle
from services.api.use_cases import UseCases
from shared.models import Principal
from shared.settings import Settings
from shared.usecases.visits import GroupVisit, Visit

SETTINGS = web.AppKey("settings", Settings)
USE_CASES = web.AppKey("use_cases", UseCases)
LIFECYCLE = web.AppKey("lifecycle", Lifecycle)
VERSION = web.AppKey("version", str)
"""Of the installed Larder."""
DESCRIPTION = web.AppKey("description", bytes)
"""The OpenAPI document of the whole URL table."""

REQUEST_ID = web.RequestKey("request_id", str)
"""Set by the request log, first of all."""
HAS_BEGUN = web.RequestKey("has_begun", bool)
"""Set when the answer's head is about to be written; from then on nothing else can be answered."""
PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal")
"""Set by every guard but `open_to_all`: who asks."""
VISIT = web.RequestKey("visit", Visit)
"""Set by the guards of what lies in a project: who was let in, where."""
GROUP_VISIT = web.RequestKey("group_visit", GroupVisit)
"""Set by the guards of what lies in a group: who was let in, where."""
