"""One audit by several processes: a directory, the board, on which points are offered, claimed and done.

The owner of a test audits it and offers its points in chunks. A helper, which has nothing else to do, finds the same points in a process
of its own and takes chunks from the front, as the owner does. The owner reports all results as its own: there is one audit.

Rules:

1. A chunk is claimed by a symbolic link that names the claimant: of several that try, the file system lets one succeed.
2. A file appears as a whole: it is written aside and renamed.
3. Whoever is there holds a lock on a file of its own (:mod:`.attendance`).
4. The owner does a claimed chunk itself if the claimant ended without a result or gave the chunk up: a helper can lose nothing.
5. The owner writes its own results down too, and they stay until all are reported: they survive the owner.
6. A helper does only what it would have planned itself. It gives up a chunk whose very points it does not find, and does not help if
   the uninterrupted test leaves more behind there than at the owner's.
7. The owner waits only for chunks that somebody alive has claimed. A helper leaves when the board is closed or its maker has ended,
   when the owner has ended, and when nobody runs tests any more.

What does not work: machines cannot share a board, and it needs symbolic links and ``fcntl``. A chunk begins in a clean process, which
costs two more runs; so short audits are not offered, and chunks grow smaller only towards the end.
"""
