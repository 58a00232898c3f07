"""Parts of the OpenAPI schema that types cannot say: forms with files, and errors."""

from __future__ import annotations

from typing import Any, TypeAlias

Responses: TypeAlias = dict[int | str, dict[str, Any]]

_OPTIONS: dict[str, Any] = {
    "image": {
        "type": "string",
        "format": "binary",
        "description": "The image file; a film, or an OME-Zarr in a zip, becomes a job.",
    },
    "model": {"type": "string", "default": "auto", "description": "See /v1/models."},
    "noise": {
        "type": "string",
        "default": "auto",
        "description": "auto (estimated), gaussian:25, poisson-gaussian:gain=0.01,read=0.02, or JSON of /v1/calibrate.",
    },
    "strength": {"type": "number", "minimum": 0, "maximum": 1, "default": 1},
    "precision": {"type": "string", "enum": ["exact", "fast", "int8"], "default": "exact"},
    "data_range": {
        "type": "string",
        "default": "auto",
        "description": "The values that mean black and white, as -1000,3000; one number stands for 0 to that, and auto "
        "for what the file says. Not for films.",
    },
    "blend": {
        "type": "boolean",
        "default": False,
        "description": "Keep what is needed to have the result at any strength, and previews.",
    },
}


def form(*fields: str) -> dict[str, Any]:
    """The description of a form with an image and these fields."""
    properties = {name: _OPTIONS[name] for name in ("image", *fields)}
    content = {"schema": {"type": "object", "required": ["image"], "properties": properties}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": content}}}


DENOISE = form("model", "noise", "strength", "precision", "data_range")
CALIBRATE = form("data_range")
SUBMIT = form("model", "noise", "strength", "precision", "data_range", "blend")

_ERROR = {
    "type": "object",
    "required": ["detail", "request_id"],
    "properties": {
        "detail": {"type": "string", "description": "What is wrong, in one sentence."},
        "request_id": {"type": "string", "description": "Under which the log has it."},
    },
}


def error(description: str) -> dict[str, Any]:
    """An error as every route answers it."""
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


ERRORS: Responses = {
    400: error("The form is damaged."),
    401: error("A token is needed."),
    403: error("A page of another server sent this."),
    408: error("The upload took too long."),
    413: error("Too many bytes or pixels."),
    415: error("Not a form."),
    422: error("The image, or a field, cannot be used."),
    429: error("The queue is full; `Retry-After` says when to come again."),
    503: error("The service stops, or the image took too long."),
    507: error("The disk is full."),
}

IMAGES: dict[str, Any] = {
    "description": "The denoised image, or numbers about it.",
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "video/*": {"schema": {"type": "string", "format": "binary"}},
        "application/zip": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": {"type": "object"}},
    },
}

_MOMENT = {"type": ["number", "null"], "description": "Seconds since 1970."}

JOB: dict[str, Any] = {
    "description": "A job.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["id", "state", "progress"],
                "properties": {
                    "id": {"type": "string"},
                    "state": {"type": "string", "enum": ["queued", "running", "done", "failed", "cancelled"]},
                    "progress": {"type": "number", "minimum": 0, "maximum": 1},
                    "seconds_left": {"type": ["number", "null"]},
                    "frames": {"type": ["integer", "null"], "description": "Of a film, that are done."},
                    "kind": {"type": "string", "enum": ["image", "film", "zarr"]},
                    "ahead": {"type": "integer", "description": "Jobs that come before this one."},
                    "name": {"type": "string"},
                    "options": {"type": "object"},
                    "created": _MOMENT,
                    "finished": _MOMENT,
                    "report": {"type": ["object", "null"]},
                    "error": {"type": ["string", "null"]},
                },
            }
        }
    },
}

EVENTS: dict[str, Any] = {
    "description": "Server-sent events: the job whenever it changes, until it is finished.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}

PREVIEW: dict[str, Any] = {
    "description": "The picture; `X-Noiseless-Window` has the values shown black and white.",
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
}
