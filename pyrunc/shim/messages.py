"""containerd's messages that the shim reads and writes, as tables for pyrunc/protobuf.py.

Sources: containerd's api/ (runtime/task/v2 and v3, which differ only in their names; events; types;
services/ttrpc/events; runtime/bootstrap; types/runc/options; types/runtimeoptions) and ttrpc's request.proto.
"""

from pyrunc.protobuf import Codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.protobuf import Fields

_TASK: "Fields" = {"id": (1, "text"), "exec_id": (2, "text")}
_CONTAINER: "Fields" = {"container_id": (1, "text")}

MESSAGES: "dict[str, Fields]" = {
    "Empty": {},
    "Any": {"type_url": (1, "text"), "value": (2, "bytes")},
    "Timestamp": {"seconds": (1, "int"), "nanos": (2, "int32")},
    "Mount": {"type": (1, "text"), "source": (2, "text"), "target": (3, "text"), "options": (4, "text[]")},
    # ttrpc
    "Request": {
        "service": (1, "text"),
        "method": (2, "text"),
        "payload": (3, "bytes"),
        "timeout_nano": (4, "int"),
        "metadata": (5, "KeyValue[]"),
    },
    "KeyValue": {"key": (1, "text"), "value": (2, "text")},
    "Response": {"status": (1, "Status"), "payload": (2, "bytes")},
    "Status": {"code": (1, "int32"), "message": (2, "text"), "details": (3, "Any[]")},
    # containerd.task.v2 and v3
    "CreateTaskRequest": {
        "id": (1, "text"),
        "bundle": (2, "text"),
        "rootfs": (3, "Mount[]"),
        "terminal": (4, "bool"),
        "stdin": (5, "text"),
        "stdout": (6, "text"),
        "stderr": (7, "text"),
        "checkpoint": (8, "text"),
        "parent_checkpoint": (9, "text"),
        "options": (10, "Any"),
    },
    "CreateTaskResponse": {"pid": (1, "uint32")},
    "DeleteRequest": _TASK,
    "DeleteResponse": {"pid": (1, "uint32"), "exit_status": (2, "uint32"), "exited_at": (3, "Timestamp")},
    "ExecProcessRequest": {
        **_TASK,
        "terminal": (3, "bool"),
        "stdin": (4, "text"),
        "stdout": (5, "text"),
        "stderr": (6, "text"),
        "spec": (7, "Any"),
    },
    "ResizePtyRequest": {**_TASK, "width": (3, "uint32"), "height": (4, "uint32")},
    "StateRequest": _TASK,
    "StateResponse": {
        "id": (1, "text"),
        "bundle": (2, "text"),
        "pid": (3, "uint32"),
        "status": (4, "int32"),
        "stdin": (5, "text"),
        "stdout": (6, "text"),
        "stderr": (7, "text"),
        "terminal": (8, "bool"),
        "exit_status": (9, "uint32"),
        "exited_at": (10, "Timestamp"),
        "exec_id": (11, "text"),
    },
    "KillRequest": {**_TASK, "signal": (3, "uint32"), "all": (4, "bool")},
    "CloseIORequest": {**_TASK, "stdin": (3, "bool")},
    "PidsRequest": {"id": (1, "text")},
    "PidsResponse": {"processes": (1, "ProcessInfo[]")},
    "ProcessInfo": {"pid": (1, "uint32"), "info": (2, "Any")},
    "CheckpointTaskRequest": {"id": (1, "text"), "path": (2, "text"), "options": (3, "Any")},
    "UpdateTaskRequest": {"id": (1, "text"), "resources": (2, "Any"), "annotations": (3, "map")},
    "StartRequest": _TASK,
    "StartResponse": {"pid": (1, "uint32")},
    "WaitRequest": _TASK,
    "WaitResponse": {"exit_status": (1, "uint32"), "exited_at": (2, "Timestamp")},
    "StatsRequest": {"id": (1, "text")},
    "StatsResponse": {"stats": (1, "Any")},
    "ConnectRequest": {"id": (1, "text")},
    "ConnectResponse": {"shim_pid": (1, "uint32"), "task_pid": (2, "uint32"), "version": (3, "text")},
    "ShutdownRequest": {"id": (1, "text"), "now": (2, "bool")},
    "PauseRequest": {"id": (1, "text")},
    "ResumeRequest": {"id": (1, "text")},
    # containerd.runc.v1, runtimeoptions.v1
    "Options": {
        "no_pivot_root": (1, "bool"),
        "no_new_keyring": (2, "bool"),
        "shim_cgroup": (3, "text"),
        "io_uid": (4, "uint32"),
        "io_gid": (5, "uint32"),
        "binary_name": (6, "text"),
        "root": (7, "text"),
        "criu_path": (8, "text"),
        "systemd_cgroup": (9, "bool"),
        "criu_image_path": (10, "text"),
        "criu_work_path": (11, "text"),
    },
    "CheckpointOptions": {
        "exit": (1, "bool"),
        "open_tcp": (2, "bool"),
        "external_unix_sockets": (3, "bool"),
        "terminal": (4, "bool"),
        "file_locks": (5, "bool"),
        "empty_namespaces": (6, "text[]"),
        "cgroups_mode": (7, "text"),
        "image_path": (8, "text"),
        "work_path": (9, "text"),
    },
    # containerd.linux.runc, which containerd 1.x sends to shims other than runc's
    "LegacyCreateOptions": {
        "no_pivot_root": (1, "bool"),
        "no_new_keyring": (8, "bool"),
        "shim_cgroup": (9, "text"),
        "io_uid": (10, "uint32"),
        "io_gid": (11, "uint32"),
        "criu_work_path": (12, "text"),
        "criu_image_path": (13, "text"),
    },
    "LegacyRuncOptions": {
        "binary_name": (1, "text"),
        "root": (2, "text"),
        "criu_path": (3, "text"),
        "systemd_cgroup": (4, "bool"),
    },
    "LegacyCheckpointOptions": {
        "exit": (1, "bool"),
        "open_tcp": (2, "bool"),
        "external_unix_sockets": (3, "bool"),
        "terminal": (4, "bool"),
        "file_locks": (5, "bool"),
        "cgroups_mode": (7, "text"),
        "work_path": (8, "text"),
        "image_path": (9, "text"),
    },
    "ProcessDetails": {"exec_id": (1, "text")},
    "RuntimeOptions": {"type_url": (1, "text"), "config_path": (2, "text"), "config_body": (3, "bytes")},
    # containerd.events, and the service that receives them
    "TaskCreate": {
        **_CONTAINER,
        "bundle": (2, "text"),
        "rootfs": (3, "Mount[]"),
        "io": (4, "TaskIO"),
        "checkpoint": (5, "text"),
        "pid": (6, "uint32"),
    },
    "TaskIO": {"stdin": (1, "text"), "stdout": (2, "text"), "stderr": (3, "text"), "terminal": (4, "bool")},
    "TaskStart": {**_CONTAINER, "pid": (2, "uint32")},
    "TaskDelete": {
        **_CONTAINER,
        "pid": (2, "uint32"),
        "exit_status": (3, "uint32"),
        "exited_at": (4, "Timestamp"),
        "id": (5, "text"),
    },
    "TaskExit": {
        **_CONTAINER,
        "id": (2, "text"),
        "pid": (3, "uint32"),
        "exit_status": (4, "uint32"),
        "exited_at": (5, "Timestamp"),
    },
    "TaskOOM": _CONTAINER,
    "TaskExecAdded": {**_CONTAINER, "exec_id": (2, "text")},
    "TaskExecStarted": {**_CONTAINER, "exec_id": (2, "text"), "pid": (3, "uint32")},
    "TaskPaused": _CONTAINER,
    "TaskResumed": _CONTAINER,
    "TaskCheckpointed": {**_CONTAINER, "checkpoint": (2, "text")},
    "ForwardRequest": {"envelope": (1, "Envelope")},
    "Envelope": {"timestamp": (1, "Timestamp"), "namespace": (2, "text"), "topic": (3, "text"), "event": (4, "Any")},
    # containerd.runtime.bootstrap.v1 (containerd 2.3), containerd.types.RuntimeInfo
    "BootstrapParams": {
        "instance_id": (1, "text"),
        "namespace": (2, "text"),
        "log_level": (3, "int32"),
        "containerd_version": (4, "text"),
        "containerd_ttrpc_address": (5, "text"),
        "containerd_grpc_address": (6, "text"),
        "containerd_binary": (7, "text"),
        "extensions": (8, "Extension[]"),
    },
    "Extension": {"value": (1, "Any")},
    "BootstrapResult": {"version": (1, "int32"), "address": (2, "text"), "protocol": (3, "text")},
    "RuntimeInfo": {
        "name": (1, "text"),
        "version": (2, "RuntimeVersion"),
        "options": (3, "Any"),
        "features": (4, "Any"),
        "annotations": (5, "map"),
    },
    "RuntimeVersion": {"version": (1, "text"), "revision": (2, "text")},
}

_codec = Codec(MESSAGES)
encode = _codec.encode
decode = _codec.decode

SPEC = "types.containerd.io/opencontainers/runtime-spec/1/"
"""The prefix of the type of an Any whose value is JSON of the runtime-spec (Process, LinuxResources, ...)."""


def any_of(type_url: str, value: bytes) -> "dict[str, Any]":
    """Returns an Any for ``encode``."""
    return {"type_url": type_url, "value": value}


def kind_of(given: "dict[str, Any] | None") -> str:
    """Returns the type of an Any without a leading host or path, "" if there is none."""
    return str((given or {}).get("type_url", "")).rpartition("/")[2]


def timestamp(nanoseconds: int) -> "dict[str, int] | None":
    """Returns ``nanoseconds`` since 1970 for ``encode``; None for 0."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return {"seconds": seconds, "nanos": rest} if nanoseconds else None
