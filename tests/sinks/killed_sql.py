"""Three processes serve a store into a database, and are killed at random; each is followed by another one.

    killed_sql.py FOLDER URL KILLS SEED

In the end one works until all is done. Processes are forked before there is any thread.
"""

import os
import random
import signal
import sys
import time

from support.sqljobs import enqueue, fork, serve, wait


def main(folder, url, kills, seed):
    """Kill so many."""
    draw, kills = random.Random(int(seed)), int(kills)
    assert wait(fork(enqueue, folder, 40 * kills + 200)) == 0
    living = [fork(serve, folder, url, None, 20) for _ in range(3)]
    for _ in range(kills):
        time.sleep(draw.uniform(0.05, 0.4))
        number = living.pop(draw.randrange(3))
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        living.append(fork(serve, folder, url, None, 20))
    for number in living:
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
    assert wait(fork(serve, folder, url, "empty", 20)) == 0


main(*sys.argv[1:])
