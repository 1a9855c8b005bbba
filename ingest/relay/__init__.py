"""The relay: what charge points said, handed on to DOJOT. A process of its own.

How a row of the outbox becomes a message that DOJOT has, in the order of the calls:

1. ``claims`` say which shards of the charge points are this relay's (``shares``), and which are
   those of others. ``registrar`` finds the device of each charge point, or has it made
   (``device_table`` here, ``catalogue`` there, over ``dojot_api``).
2. ``lanes`` read from each ``outbox`` as much as may be sent now: what is fresh first, what is
   left behind beside it.
3. ``sessions`` publish it, a session for each device, as many of them open as there are
   ``places``. A session is a connection of ``mqtt`` (``dialling``) under the names of its
   ``dialects``, and waits with ``backoff`` where the broker is away.
4. What was acknowledged leaves the ``outbox``, what was not stays in it.

Beside the path: commits fill the outbox by themselves; ``backfill`` adds what was there before
them, ``frame_log`` the frames where that is switched on. ``order_desk`` stores what DOJOT asks for
(``orders``) as commands. ``clock`` is the database's, ``metrics`` are what others see. ``relay``
builds it all from ``settings`` and repeats every step; ``__main__`` is its process.
"""
