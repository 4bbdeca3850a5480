"""Which examples belong to which document."""

from .index import INDEX
from .index2 import INDEX2
from .light import LIGHT
from .tasks import TASKS
from .workflow import WORKFLOW

#: By the document's name: what is done, the ports it documents, the dialects that it is about.
PLANS = {
    "light_tts_api": (LIGHT, 8080, ["light"]),
    "indextts_api_server": (INDEX, 8000, ["index"]),
    "indextts2_rest_api": (INDEX2, 8000, ["index2"]),
    "indextts_workflow_service": (WORKFLOW, 8788, ["workflow"]),
    # "your-domain:port"
    "indextts_tasks_api": (TASKS, 8001, ["tasks"]),
}
