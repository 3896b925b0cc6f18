"""Classes of tests under ``use_cassette``: all that such a class runs goes to cassettes.

A ``unittest.TestCase`` runs ``setUp``, a test, ``tearDown`` and the clean-ups in its ``run``; of
other classes pytest calls ``setup_method``, the test and ``teardown_method`` one by one. What runs
once for the class (``setUpClass``, ``setup_class`` and their counterparts) has a cassette of its
own. A subclass is covered as it is made, and its cassettes have its own name.
"""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

_COVER, _OPEN = "_dataio_cover", "_dataio_open"
_BEFORE, _AFTER = "setup_method", "teardown_method"


class Session(Protocol):
    """A session on a cassette."""

    def open(self) -> Any:
        """Open it, and have it capture."""

    def close(self, exc: BaseException | None = None) -> None:
        """Close it; what it has is written if nothing was raised."""

    def suspend(self) -> None:
        """Have it capture nothing for a while."""

    def resume(self) -> bool:
        """Have it capture again, if it is suspended."""


def around(target: Any, opened: Callable[..., AbstractContextManager[Any]]) -> Any:
    """Return a function that runs another within a context of its own, of the same kind.

    Args:
        target: a function, a generator's, a coroutine's, or an asynchronous generator's.
        opened: makes the context, from the arguments.
    """
    wrapped: Any
    if inspect.iscoroutinefunction(target):

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            with opened(*args, **kwargs):
                return await target(*args, **kwargs)

    elif inspect.isasyncgenfunction(target):

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            with opened(*args, **kwargs):
                async for item in target(*args, **kwargs):
                    yield item

    elif inspect.isgeneratorfunction(target):

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with opened(*args, **kwargs):
                return (yield from target(*args, **kwargs))

    else:

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with opened(*args, **kwargs):
                return target(*args, **kwargs)

    return functools.wraps(target)(wrapped)


def cover(cls: type, session: Callable[[str], Session]) -> None:
    """Have all that a class of tests runs go to cassettes, and what its subclasses run.

    Args:
        session: makes the session of a name: ``Class.test_it``.
    """
    _Cover(cls, session).begin()


class _Running:
    """A session that is open for a test or a class, and what has failed in it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.failure: BaseException | None = None
        self.ending = self.suspended = False
        session.open()

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what is raised within."""
        try:
            yield
        except BaseException as exc:
            self.failure = self.failure or exc
            raise

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Have the session capture within."""
        self.session.resume()
        self.suspended = False
        try:
            with self.noting():
                yield
        finally:
            self.suspend()

    def suspend(self) -> None:
        """Have the session capture nothing for a while."""
        self.session.suspend()
        self.suspended = True

    def close(self) -> None:
        """Close the session; it is written if nothing has failed."""
        self.session.close(self.failure)


class _TestFailedError(Exception):
    """Keeps the session of a test that failed from writing its cassette."""


class _Cover:
    """The decorator's hold on a class."""

    def __init__(self, cls: Any, session: Callable[[str], Session]) -> None:
        self._cls = cls
        self._session = session
        self._of_class: weakref.WeakKeyDictionary[type, _Running] = weakref.WeakKeyDictionary()

    def begin(self) -> None:
        """Replace the methods of the class, and of its subclasses as they are made."""
        cls = self._cls
        setattr(cls, _COVER, self)
        self._extend(cls)
        own = cls.__dict__.get("__init_subclass__")

        def __init_subclass__(klass: Any, /, **kwargs: Any) -> None:  # noqa: N807
            if own is not None:
                own.__get__(None, klass)(**kwargs)
            else:
                super(cls, klass).__init_subclass__(**kwargs)
            self._extend(klass)

        cls.__init_subclass__ = classmethod(__init_subclass__)

    def _extend(self, cls: Any) -> None:
        """Replace the methods of a class by which tests are run; those inherited once."""
        unittest = _is_unittest(cls)
        # A mixin's tests meet their TestCase in a subclass.
        first = cls is self._cls or (unittest and not _is_unittest(self._cls))

        def found(name: str) -> Any:
            return inspect.getattr_static(cls, name, None) if first else vars(cls).get(name)

        if unittest:
            for name, made in (("run", self._run), ("debug", self._debug)):
                if (method := found(name)) is not None:
                    setattr(cls, name, made(method))
            once = ["setUpClass", "tearDownClass", "doClassCleanups"]
            last = once[-1]
        else:
            for name in [name for name in dir(cls) if name.startswith("test")]:
                if inspect.isfunction(method := found(name)):
                    setattr(cls, name, self._test(name, method))
            before, after = found(_BEFORE), found(_AFTER)
            if before is not None or after is not None:
                # Both, since the one opens what the other closes.
                setattr(cls, _BEFORE, self._before(inspect.getattr_static(cls, _BEFORE, None)))
                setattr(cls, _AFTER, self._after(inspect.getattr_static(cls, _AFTER, None)))
            once = ["setup_class", "teardown_class"]
            last = once[1] if hasattr(cls, once[1]) else once[0]
        for name in once:
            if (method := found(name)) is not None:
                setattr(cls, name, classmethod(self._once(name, method, ends=name == last)))

    def _name(self, cls: type, what: str) -> str:
        """Return a cassette's name; two classes of one name lie in different modules."""
        name = f"{cls.__qualname__.rpartition('<locals>.')[2]}.{what}"
        return name if cls.__module__ == self._cls.__module__ else f"{cls.__module__}.{name}"

    def _is_others(self, cls: type) -> bool:
        """Say whether a subclass has a decorator of its own."""
        return getattr(cls, _COVER, None) is not self

    # -- a test ------------------------------------------------------------------------------

    def _begin(self, test: Any, name: str) -> _Running | None:
        """Open the session of a test, unless there is one that covers more than this."""
        if self._is_others(type(test)) or _OPEN in vars(test):
            return None
        running = _Running(self._session(self._name(type(test), name)))
        vars(test)[_OPEN] = running
        return running

    def _end(self, test: Any) -> None:
        vars(test).pop(_OPEN).close()

    @contextmanager
    def _within(self, test: Any, name: str) -> Iterator[None]:
        begun = self._begin(test, name)
        running: _Running | None = begun or vars(test).get(_OPEN)
        try:
            if running is None:
                yield
            else:
                with running.noting():
                    yield
        except BaseException:
            if begun is not None:
                self._end(test)
            raise
        if begun is not None:
            self._end(test)

    def _test(self, name: str, method: Any) -> Any:
        return around(method, lambda test, *_, **__: self._within(test, name))

    def _debug(self, method: Any) -> Any:
        return around(method, lambda test: self._within(test, test._testMethodName))

    def _run(self, method: Any) -> Any:
        @functools.wraps(method)
        def run(test: Any, result: Any = None) -> Any:
            if self._is_others(type(test)) or _OPEN in vars(test):
                return method(test, result)
            noting: Any = _Noting(test.defaultTestResult() if result is None else result, test)
            try:
                with self._within(test, test._testMethodName):
                    method(test, noting)
                    if noting.failed:
                        raise _TestFailedError
            except _TestFailedError:
                pass
            except Exception:
                # A miss that the test has swallowed, or a cassette that can't be read or written.
                noting.failed_outside(sys.exc_info())
            return noting.result

        return run

    def _before(self, method: Any) -> Any:
        def setup_method(test: Any, function: Any) -> None:
            begun = self._begin(test, function.__name__)
            try:
                _call(method, test, function)
            except BaseException as exc:
                if begun is not None:
                    begun.failure = exc
                    self._end(test)
                raise

        return setup_method

    def _after(self, method: Any) -> Any:
        def teardown_method(test: Any, function: Any) -> None:
            running: _Running | None = vars(test).get(_OPEN)
            if running is None or running.ending:
                _call(method, test, function)
                return
            running.ending = True
            with self._ended(test, running):
                _call(method, test, function)

        return teardown_method

    @contextmanager
    def _ended(self, test: Any, running: _Running) -> Iterator[None]:
        try:
            with running.noting():
                yield
        finally:
            self._end(test)

    # -- the class ---------------------------------------------------------------------------

    def _once(self, name: str, method: Any, *, ends: bool) -> Any:
        """Return a method that runs once for a class, in the class's session.

        Args:
            ends: it is the last that does.
        """

        def once(klass: Any) -> None:
            running = self._of_class.get(klass)
            if self._is_others(klass) or (running is not None and not running.suspended):
                # That of a subclass has called this one.
                _call(method, None, klass)
                return
            if running is None:
                what = "setUpClass" if _is_unittest(klass) else "setup_class"
                running = _Running(self._session(self._name(klass, what)))
                running.suspend()
                self._of_class[klass] = running
            try:
                with running.resumed():
                    _call(method, None, klass)
            finally:
                # pytest calls no teardown_class after a setup_class that raised.
                if ends or (running.failure is not None and not _is_unittest(klass)):
                    del self._of_class[klass]
                    _close(klass, running)

        return once


def _close(cls: Any, running: _Running) -> None:
    try:
        running.close()
    except Exception:
        if not _is_unittest(cls):
            raise
        # Where unittest and pytest look for what class clean-ups have raised.
        cls.tearDown_exceptions.append(sys.exc_info())


def _is_unittest(cls: type) -> bool:
    unittest = sys.modules.get("unittest")
    return unittest is not None and issubclass(cls, unittest.TestCase)


def _call(method: Any, test: Any, given: Any) -> None:
    """Call what may be a function, a method of either kind or nothing, with what it takes."""
    if method is None:
        return
    bound = method.__get__(test, given if test is None else type(test))
    takes = bool(inspect.signature(bound).parameters)
    bound(*([given] if takes else []))


# What a result is told of a test.
_OUTCOMES = frozenset({"addError", "addFailure", "addSkip", "addSubTest", "addUnexpectedSuccess"})


class _Noting:
    """A result of ``unittest``'s, and whether the test has failed or was skipped."""

    def __init__(self, result: Any, test: Any) -> None:
        self.result = result
        self.failed = False
        self._test = test
        self._started = False

    def __getattr__(self, name: str) -> Any:
        # A result need not have all of them, and a TestCase asks.
        value = getattr(self.result, name)
        return functools.partial(self._told, name, value) if name in _OUTCOMES else value

    def startTest(self, test: Any) -> None:  # noqa: N802 - unittest's
        self._started = True
        self.result.startTest(test)

    def _told(self, name: str, method: Any, test: Any, *args: Any) -> Any:
        passed = (name == "addSubTest" and args[-1] is None) or (
            name == "addSkip" and test is not self._test
        )
        self.failed = self.failed or not passed
        return method(test, *args)

    def failed_outside(self, error: Any) -> None:
        """Tell the result of what was raised before the test, or after it."""
        if not self._started:
            self.result.startTest(self._test)
        self.result.addError(self._test, error)
        if not self._started:
            self.result.stopTest(self._test)
