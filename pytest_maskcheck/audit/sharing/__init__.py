"""One audit by several processes: on the board, a directory, points are offered and claimed, and results are posted.

The owner of a test audits it and offers its points in chunks. A helper, which has nothing else to do, finds the same points in a process
of its own and takes chunks from the front, as the owner does. The owner reports all results as its own: there is one audit.

Rules:

1. A chunk is claimed by a symbolic link that names the claimant: of several that try, the file system lets one succeed.
2. A file appears as a whole: it is written aside and renamed.
3. Each process that is present holds a lock on a file of its own (:mod:`.attendance`).
4. The owner does a claimed chunk itself if the claimant ended without a result or gave the chunk up: a helper cannot lose points.
5. The owner posts its own results, too, and they stay until all are reported. Whatever it audits, shared or not, is in its journal
   (:mod:`.journal`), which survives the owner.
6. A helper audits only what it would have planned itself. It gives up a chunk if it has not found exactly the same points, and does
   not help if the uninterrupted test leaves more behind there than in the owner's process.
7. The owner waits only for chunks that a live process has claimed. A helper leaves when the board is closed or its maker has ended,
   when the owner has ended, and when no process runs tests any more.

What does not work: processes on different machines cannot share a board, and it requires symbolic links and ``fcntl``. A chunk begins
in a clean process, which costs two more runs; so short audits are not offered, and chunks grow smaller only towards the end.
"""
