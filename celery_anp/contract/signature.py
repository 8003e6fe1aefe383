"""The typed border of a task: its input is checked when enqueued and again when run, its result when it ends."""

from __future__ import annotations

import hashlib
import inspect
import string
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from celery.result import ResultBase
from kombu.utils import json
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticSerializationError

from celery_anp.contract import canonical
from celery_anp.errors import BadDeclaration, BadInput, BadResult, did_you_mean
from celery_anp.wording import shown, words

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked input: as it travels, and as the body gets it."""

    #: What travels in the message: plain JSON values.
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    #: Every field with its default filled in, in its canonical form: for lock templates and digests.
    fields: dict[str, Any]
    #: What the body gets: the validated Python objects.
    values: dict[str, Any]
    #: The input that has no names, in its canonical form.
    unnamed: tuple[Any, ...] = ()

    def digest(self) -> str:
        """A short digest of the input, the same for equal inputs in every process."""
        text = canonical.text([self.unnamed, sorted(self.fields.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Contract:
    """The border of one task, made from its signature.

    Args:
        name: the task's name, for messages.
        function: the body, without the task as its first parameter.
        typed: annotations are law. Without it input and result pass as Celery passes them, and what a secret is
            is all that annotations say.

    Raises:
        BadDeclaration: an annotation cannot be read or cannot be checked.
    """

    def __init__(self, name: str, function: Callable[..., Any], *, typed: bool = True) -> None:
        self.name = name
        self.typed = typed
        self.signature = inspect.signature(function)
        self.parameters = list(self.signature.parameters.values())
        self.hints = _hints(name, function) if typed else _readable(function)
        self.secrets = tuple(name for name in self.named if _is_secret(self.hints.get(name)))

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(p.name for p in self.parameters if p.kind not in (*_POSITIONAL, inspect.Parameter.VAR_KEYWORD))

    @cached_property
    def model(self) -> type[BaseModel]:
        """The pydantic model of the input; the aliases are the parameters' names."""
        fields: dict[str, Any] = {}
        for index, parameter in enumerate(p for p in self.parameters if p.name in self.named):
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[f"f{index}"] = (self.hints.get(parameter.name, Any), Field(default, alias=parameter.name))
        try:
            return create_model(
                f"Input[{self.name}]",
                __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()),
                **fields,
            )
        except PydanticSchemaGenerationError as error:
            raise BadDeclaration(f"An annotation of task {self.name!r} cannot be checked", given=str(error)) from None

    @cached_property
    def result(self) -> TypeAdapter[Any] | None:
        """The checker of the result, or None where nothing is declared."""
        if not self.typed or "return" not in self.hints:
            return None
        try:
            return TypeAdapter(self.hints["return"])
        except PydanticSchemaGenerationError:  # a class that pydantic does not know: it can tell one of its own
            return TypeAdapter(self.hints["return"], config=ConfigDict(arbitrary_types_allowed=True))

    def fill(self, template: str, fields: Mapping[str, Any]) -> str:
        """A lock template over the canonical input, e.g. `warm:{site}`.

        Raises:
            BadInput: the template asks for something that this input has not got.
        """
        try:
            return canonical.lock_name(template.format_map(fields))
        except (LookupError, AttributeError, ValueError, TypeError) as error:
            raise BadInput(
                f"The lock of task {self.name!r} cannot be made of this input", expected=template, given=repr(error)
            ) from None

    def check_template(self, template: str) -> None:
        """Refuse a lock template that names what is not a field."""
        names = [part for _, part, _, _ in string.Formatter().parse(template) if part is not None]
        unknown = [name for name in names if name.partition(".")[0].partition("[")[0] not in self.named]
        if unknown:
            raise BadDeclaration(
                f"The lock of task {self.name!r} names {unknown[0]!r}.{did_you_mean(unknown[0], self.named)}",
                expected=f"one of its fields: {', '.join(self.named) or '(none)'}",
                given=repr(template),
            )

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Checked:
        """Check an input.

        Args:
            args: positional arguments.
            kwargs: arguments by name.

        Returns:
            The input as it travels and as the body gets it.

        Raises:
            BadInput: it does not fit; the message names each field, what was expected and given. Never where the task
                is not typed: its body meets what was given, as Celery's does.
        """
        if not self.typed:
            return self._as_given(tuple(args), dict(kwargs))
        bound = self.check_places(args, kwargs)
        given = dict(bound.arguments)
        positional: list[Any] = []
        extra: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                extra = given.pop(parameter.name, {})
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                positional.extend(given.pop(parameter.name, ()))
            elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.name in given:
                positional.append(given.pop(parameter.name))
        if positional:  # these keep their places, so everything before them must too
            return self._in_places(tuple(args), dict(kwargs), bound)
        return self._typed(given, extra)

    def check_places(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """Check that an input has what the body needs, and nothing else.

        Raises:
            BadInput: it does not fit the signature.
        """
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise self._does_not_bind(error, kwargs) from None

    def _as_given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Checked:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:  # the body will say so, as Celery's does; whoever needs fields finds them empty
            fields = self._of_none({**dict.fromkeys(self.named), **kwargs})
            return Checked(args, kwargs, fields, kwargs, tuple(self._of_none(dict(enumerate(args))).values()))
        given = bound.arguments
        placed = any(p.kind in _POSITIONAL and p.name in given for p in self.parameters)
        if self.secrets and not placed:  # what has no name cannot be hidden
            args, kwargs = (), {**{name: given[name] for name in self.named if name in given}, **bound.kwargs}
        bound.apply_defaults()
        fields = {name: bound.arguments[name] for name in self.named}
        places = enumerate(bound.arguments[p.name] for p in self.parameters if p.kind in _POSITIONAL)
        unnamed = self._of_none(dict(places))
        return Checked(args, kwargs, self._of_none({**fields, **kwargs}), kwargs, tuple(unnamed.values()))

    def _in_places(self, args: tuple[Any, ...], kwargs: dict[str, Any], bound: inspect.BoundArguments) -> Checked:
        bound.apply_defaults()
        named = {name: bound.arguments[name] for name in self.named}
        unnamed = [bound.arguments[p.name] for p in self.parameters if p.kind in _POSITIONAL]
        extra = {name: value for name, value in kwargs.items() if name not in bound.arguments}
        fields, places = self._of_none({**named, **extra}), self._of_none(dict(enumerate(unnamed)))
        return Checked(args, kwargs, fields, kwargs, tuple(places.values()))

    def _of_none(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """The canonical form of input that no model has read."""
        try:
            return {name: canonical.of(value) for name, value in values.items()}
        except (ValueError, TypeError, RecursionError) as error:
            raise BadInput(
                f"The input of {self.name!r} cannot be sent", expected="JSON values", given=str(error)
            ) from None

    def _typed(self, given: dict[str, Any], extra: dict[str, Any]) -> Checked:
        try:
            model = self.model.model_validate(given)
            dumped = model.model_dump(mode="json", by_alias=True)
        except ValidationError as error:
            raise self._does_not_fit(error) from None
        except PydanticSerializationError as error:
            raise BadInput(
                f"The input of {self.name!r} cannot be sent", expected="JSON values", given=str(error)
            ) from None
        values = {field.alias or name: getattr(model, name) for name, field in type(model).model_fields.items()}
        fields = {name: canonical.canonical(value, dumped[name]) for name, value in values.items()}
        for name, value in values.items():
            if name in self.secrets and value is not None:
                dumped[name] = fields[name] = value.get_secret_value()
            elif name not in self.hints:
                dumped[name] = value  # unannotated: Celery's own serializer knows datetimes and the like
        travels = {name: dumped[name] for name in given}
        fields |= self._of_none(extra)
        return Checked((), {**travels, **extra}, fields, {**{n: values[n] for n in given}, **extra})

    def check_result(self, value: Any, *, as_json: bool = True) -> Any:
        """Check a result and make it plain JSON.

        Args:
            value: what the body returned.
            as_json: it is kept as JSON; what is not kept, or kept otherwise, need not be.

        Returns:
            The value as JSON stores it; as it is where it need not be JSON.

        Raises:
            BadResult: it does not fit the return annotation, or is not JSON and shall be.
        """
        if isinstance(value, ResultBase):
            value = value.as_tuple()  # as Celery stores one
        try:
            if self.result is not None:
                value = self.result.dump_python(self.result.validate_python(value), mode="json")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadResult(
                f"The result of {self.name!r} does not fit its annotation" + (f" at {where}" if where else ""),
                expected=first["msg"],
                given=shown(first["input"]),
            ) from None
        except (PydanticSerializationError, TypeError, ValueError) as error:
            if not as_json and isinstance(error, PydanticSerializationError):
                return value
            raise self._cannot_keep(error) from None
        if not as_json:
            return value
        try:
            json.dumps(value)
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:  # also of a value's own, and of one that holds itself
            raise self._cannot_keep(error) from None
        return value

    def _cannot_keep(self, error: Exception) -> BadResult:
        given = words(error, 1000)
        return BadResult(f"The result of {self.name!r} cannot be kept", expected="JSON values", given=given)

    def help(self) -> list[tuple[str, str, str]]:
        """Each field as (name, type, default), for people."""
        return [
            (
                p.name,
                _type_name(self.hints.get(p.name, Any)),
                "required" if p.default is inspect.Parameter.empty else repr(p.default),
            )
            for p in self.parameters
        ]

    def _does_not_bind(self, error: TypeError, kwargs: Mapping[str, Any]) -> BadInput:
        unknown = [name for name in kwargs if name not in self.named]
        hint = did_you_mean(unknown[0], self.named) if unknown else ""
        fields = ", ".join(f"{name}: {kind} ({default})" for name, kind, default in self.help())
        return BadInput(f"The input of {self.name!r} does not fit: {error}.{hint}", expected=fields or "no input")

    def _does_not_fit(self, error: ValidationError) -> BadInput:
        problems = [
            f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}"
            + ("" if str(e["loc"][0]) in self.secrets else f", given {shown(e['input'])}")
            for e in error.errors()
        ]
        return BadInput(f"The input of {self.name!r} does not fit: {'; '.join(problems)}")


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise BadDeclaration(
            f"An annotation of task {name!r} cannot be read",
            expected="names that its module defines at run time, not only under TYPE_CHECKING",
            given=str(error),
        ) from None


def _readable(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations that can be read, each by itself; the others say nothing."""
    inner = inspect.unwrap(function)
    found: dict[str, Any] = {}
    for name, annotation in getattr(inner, "__annotations__", {}).items():
        with suppress(Exception):  # whatever an annotation may raise, it is no law here
            one = types.SimpleNamespace(__annotations__={name: annotation})
            found |= typing.get_type_hints(one, getattr(inner, "__globals__", {}), include_extras=True)
    return found


def _type_name(hint: Any) -> str:
    """A type as a person reads it: `int`, `str or none`, `'a' or 'b'`, `list[str]`."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _type_name(parts[0])
    if origin is typing.Literal:
        return " or ".join(repr(part) for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if part is type(None) else _type_name(part) for part in parts)
    if origin is not None:
        return f"{_type_name(origin)}[{', '.join(_type_name(part) for part in parts)}]"
    return "any" if hint is Any else str(getattr(hint, "__name__", hint))


def _is_secret(hint: Any) -> bool:
    kinds = (SecretStr, SecretBytes)
    return hint in kinds or any(_is_secret(part) for part in typing.get_args(hint))
