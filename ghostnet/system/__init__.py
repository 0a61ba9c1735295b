"""What systems do differently: files, processes, memory and the machine.

No module outside knows a system by its name. Where a system lacks something, its stand-in is here;
what has no stand-in, such as suspending a process on Windows, is left out where that does no harm.
"""
