"""Calls from another thread, while the loop stands still: a virtual clock that jumps does not wait for threads."""

import threading


def elsewhere(function, *args):
    """Call a function in another thread, and return what it returns, or raise what it raises."""
    ended = []

    def call():
        try:
            ended.append((function(*args), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            ended.append((None, error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    value, error = ended[0]
    if error is not None:
        raise error
    return value
