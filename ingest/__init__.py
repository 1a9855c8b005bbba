"""The OCPP central system, and beside it the relay to DOJOT (``relay``, a process of its own).

How a frame becomes a row and gets its answer, in the order of the calls:

1. ``central_system`` listens. ``guard`` and ``door`` bound what one socket and a crowd may cost
   (``allowance``); ``admission`` judges who knocks (``credentials``, ``turns``, ``tls``) by the
   ``registration`` that ``registry`` has of them.
2. ``charge_point`` serves the socket: ``frames`` reads the text, ``inbox`` keeps CALLs in order.
3. ``meanings`` says what a CALL comes to in the ``situation`` of its socket: ``facts``, and the
   answer that will be due. ``readings`` reads the MeterValues for it; ``measurands``, ``fields``
   and ``timestamps`` know the odd ways in which charge points write them.
4. ``charge_point`` has a Message of ``items`` made of it, without secrets (``transcript``,
   ``redaction``), submits it to ``writer`` and waits.
5. ``writer`` hands all that is queued to ``store`` in a thread: one transaction, statements of
   ``sql/ingest.sql``; ``repeats`` leaves out what came before. Facts that are questions get what
   the database decided (a verdict, the number of a transaction); the answer is made of them.
6. After the commit ``writer`` wakes ``charge_point``, which learns from the facts and answers.

Beside the path: ``commands`` sends the CALLs that somebody queued (``actions`` checks them,
``calls`` waits for the answer, ``effects`` notes what it brought about). ``operations`` starts
what we do of our own accord: ``configuring`` after a boot, at a ``pace``; ``signing`` with the
``certificate_authority``. ``presence`` keeps the records of sockets true, and leaves charge points
that fell silent (``pulse``). ``watch`` asks who holds up a commit that takes long; ``trouble`` says
why nothing is stored. ``__main__`` builds it all from ``settings``, as a ``process`` with a
``database``, ``health`` and ``metrics``.
"""
