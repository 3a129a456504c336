"""What the OpenAI door keeps of its own: files, jobs, batches, evals, responses, completions."""

from slipway.door.models.answers import (
    Asked,
    CompletionSpool,
    Conversation,
    ConversationItem,
    ModerationPolicy,
    Response,
    ResponseEvents,
    StoredCompletion,
)
from slipway.door.models.batches import Batch, BatchAnswer, BatchLine, BatchPhase, LineState
from slipway.door.models.evals import Eval, EvalRun, EvalRunPhase, OutputItem
from slipway.door.models.files import File, FilePhase, Part, Upload, UploadStatus
from slipway.door.models.tuning import FineTune, TunePhase

__all__ = [
    "Asked",
    "Batch",
    "BatchAnswer",
    "BatchLine",
    "BatchPhase",
    "CompletionSpool",
    "Conversation",
    "ConversationItem",
    "Eval",
    "EvalRun",
    "EvalRunPhase",
    "File",
    "FilePhase",
    "FineTune",
    "LineState",
    "ModerationPolicy",
    "OutputItem",
    "Part",
    "Response",
    "ResponseEvents",
    "StoredCompletion",
    "TunePhase",
    "Upload",
    "UploadStatus",
]
