"""Routes of /v1 that ask a model, and those to what is kept of it."""

from __future__ import annotations

from slipway.door.api import (
    completions,
    conversations,
    moderate,
)
from slipway.door.api.document.words import (
    FREE,
    ORDER,
    PAGE,
    STRING,
    Operation,
    Query,
    Schema,
    gone,
    listed,
    many,
    one_of,
    ref,
    thing,
)
from slipway.door.services import moderation, response_asks

_MODEL: Schema = {"type": "string", "minLength": 1, "maxLength": 256}
_MESSAGE: Schema = {
    "type": "object",
    "properties": {
        "role": one_of("system", "developer", "user", "assistant", "tool"),
        "content": {"anyOf": [STRING, many(FREE), {"type": "null"}]},
    },
    "required": ["role"],
}
#: Of the request the gateway reads these; the rest is the engine's to check.
_CHAT: Schema = {
    "type": "object",
    "properties": {
        "model": _MODEL,
        "messages": {"type": "array", "items": _MESSAGE, "minItems": 1},
        "stream": {"type": ["boolean", "null"]},
    },
    "required": ["model", "messages"],
}
_COMPLETION: Schema = {
    "type": "object",
    "properties": {
        "model": _MODEL,
        "prompt": {"anyOf": [STRING, many(STRING)]},
        "stream": {"type": ["boolean", "null"]},
    },
    "required": ["model", "prompt"],
}

_EMBEDDING: Schema = {
    "type": "object",
    "properties": {
        "model": _MODEL,
        "input": {"anyOf": [STRING, many(STRING)]},
        "encoding_format": one_of("float", "base64"),
    },
    "required": ["model", "input"],
}

_STORED = "/chat/completions/{name}"
_RESPONSE = "/responses/{response_id}"
_CONVERSATION = "/conversations/{conversation_id}"

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/completions": {
        "post": Operation(
            id="createCompletion", tells="Have a text gone on with.", answer=ref("Completion"),
            body=_COMPLETION, events=True,
        )
    },
    "/embeddings": {
        "post": Operation(
            id="createEmbedding", tells="Have texts embedded.", answer=ref("Embeddings"),
            body=_EMBEDDING,
        )
    },
    "/responses": {
        "post": Operation(
            id="createResponse", tells="Ask a chat model in the words of the responses API.",
            answer=ref("Response"), body=response_asks.Ask, events=True,
        )
    },
    "/responses/compact": {
        "post": Operation(
            id="compactResponse", tells="A conversation made short.",
            answer=thing(
                "response.compaction", id=STRING, created_at={"type": "integer"},
                output=many(FREE), usage=FREE,
            ),
            body=response_asks.Compact,
        )
    },
    "/responses/input_tokens": {
        "post": Operation(
            id="countInputTokens", tells="How many tokens a response would read.",
            answer=thing("response.input_tokens", input_tokens={"type": "integer"}),
            body=response_asks.Count,
        )
    },
    "/moderations": {
        "post": Operation(
            id="createModeration", tells="Have texts judged by the project's policy.",
            answer=thing(id=STRING, model=STRING, results=many(FREE)), body=moderate._Ask,
        )
    },
    "/models": {
        "get": Operation(
            id="listModels", tells="Models that answer.",
            answer=thing("list", data=many(ref("Model"))),
        )
    },
    "/chat/completions": {
        "post": Operation(
            id="createChatCompletion", tells="Ask a chat model.", answer=ref("ChatCompletion"),
            body=_CHAT, events=True,
        ),
        "get": Operation(
            id="listChatCompletions", tells="Those that were stored, oldest first.",
            answer=listed(ref("ChatCompletion")), query=(*PAGE, ORDER, Query(name="model")),
        ),
    },
    _STORED: {
        "get": Operation(id="getChatCompletion", tells="One.", answer=ref("ChatCompletion")),
        "post": Operation(
            id="changeChatCompletion", tells="Its metadata.", answer=ref("ChatCompletion"),
            body=completions._Changed,
        ),
        "delete": Operation(
            id="deleteChatCompletion", tells="Forget it.", answer=gone("chat.completion.deleted")
        ),
    },
    f"{_STORED}/messages": {
        "get": Operation(
            id="listChatMessages", tells="What was asked.", answer=listed(FREE),
            query=(*PAGE, ORDER),
        )
    },
    _RESPONSE: {
        "get": Operation(
            id="getResponse", tells="One response; of one in the background its events too.",
            answer=ref("Response"), events=True,
            query=(
                Query(name="stream", schema=one_of("true", "false")),
                Query(name="starting_after", schema={"type": "integer", "minimum": 0,
                                                     "maximum": 999_999_999}),
            ),
        ),
        "delete": Operation(id="deleteResponse", tells="Forget it.", answer=gone("response")),
    },
    f"{_RESPONSE}/cancel": {
        "post": Operation(
            id="cancelResponse", tells="End one in the background.", answer=ref("Response")
        )
    },
    f"{_RESPONSE}/input_items": {
        "get": Operation(
            id="listInputItems", tells="What was asked.", answer=listed(FREE),
            query=(*PAGE, ORDER),
        )
    },
    "/conversations": {
        "post": Operation(
            id="createConversation", tells="Begin one.", answer=ref("Conversation"),
            body=conversations._New,
        )
    },
    _CONVERSATION: {
        "get": Operation(id="getConversation", tells="One.", answer=ref("Conversation")),
        "post": Operation(
            id="changeConversation", tells="Its metadata.", answer=ref("Conversation"),
            body=conversations._Change,
        ),
        "delete": Operation(
            id="deleteConversation", tells="Forget it with its items.",
            answer=gone("conversation.deleted"),
        ),
    },
    f"{_CONVERSATION}/items": {
        "get": Operation(
            id="listConversationItems", tells="Its items, newest first.", answer=listed(FREE),
            query=(*PAGE, ORDER),
        ),
        "post": Operation(
            id="addConversationItems", tells="Add up to 20.", answer=listed(FREE),
            body=conversations._Items,
        ),
    },
    f"{_CONVERSATION}/items/{{item_id}}": {
        "get": Operation(id="getConversationItem", tells="One item.", answer=FREE),
        "delete": Operation(
            id="deleteConversationItem", tells="Leave it out from now on.",
            answer=ref("Conversation"),
        ),
    },
    "/moderations/policy": {
        "get": Operation(
            id="getModerationPolicy", tells="What the project's texts are judged by.",
            answer=ref("ModerationPolicy"),
        ),
        "post": Operation(
            id="setModerationPolicy", tells="Set it.", answer=ref("ModerationPolicy"),
            body=moderation.Policy,
        ),
        "delete": Operation(
            id="deleteModerationPolicy", tells="Back to none.",
            answer=thing("moderation.policy", deleted={"type": "boolean"}),
        ),
    },
    "/models/{model}": {
        "get": Operation(id="getModel", tells="One model.", answer=ref("Model")),
        "delete": Operation(
            id="deleteModel", tells="Delete a fine-tuned model.", answer=gone("model")
        ),
    },
}  # fmt: skip
