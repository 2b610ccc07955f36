"""`pyrunc update`."""

from pyrunc.cli.command import ID, Command, flag, option

command = Command(
    "update",
    "Change the limits of a container. What is not given stays; -1 lifts a limit.",
    ID,
    option("--resources", "-r", metavar="FILE", help="JSON of linux.resources, `-` for standard input."),
    option("--blkio-weight", type=int, metavar="N", help="Weight of block io, 10 to 1000."),
    option("--cpu-period", type=int, metavar="US", help="CPU period to be limited."),
    option("--cpu-quota", type=int, metavar="US", help="CPU time in a period."),
    option("--cpu-burst", type=int, metavar="US", help="CPU time that may be saved up."),
    option("--cpu-share", "--cpu-shares", type=int, metavar="N", help="CPU shares."),
    option("--cpu-rt-period", type=int, metavar="US", help="Real-time period."),
    option("--cpu-rt-runtime", type=int, metavar="US", help="Real-time runtime in a period."),
    option("--cpuset-cpus", metavar="LIST", help="CPUs, such as 0-3."),
    option("--cpuset-mems", metavar="LIST", help="Memory nodes, such as 0,1."),
    option("--cpu-idle", type=int, metavar="0|1", help="SCHED_IDLE for the whole cgroup."),
    option("--memory", metavar="BYTES", help="Memory limit."),
    option("--memory-reservation", metavar="BYTES", help="Memory that is kept under pressure."),
    option("--memory-swap", metavar="BYTES", help="Memory and swap together."),
    option("--kernel-memory", metavar="BYTES", hidden=True, help="Of no effect since Linux 5.16."),
    option("--kernel-memory-tcp", metavar="BYTES", hidden=True, help="TCP buffers (v1)."),
    option("--pids-limit", type=int, metavar="N", help="Number of processes."),
    option("--l3-cache-schema", metavar="SCHEMA", help="Intel RDT's cache schema."),
    option("--mem-bw-schema", metavar="SCHEMA", help="Intel RDT's memory bandwidth schema."),
    flag("--memory-check-before-update", help="Refuse a memory limit below what is used."),
)
