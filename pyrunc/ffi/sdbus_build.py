"""Bindings to sd-bus of libsystemd (sd-bus(3)), used to ask systemd for a unit. cffi in out-of-line ABI mode.

Nothing is compiled or linked, so pyrunc builds and runs on hosts without systemd. The library is opened when it is
first needed. Only functions without variable arguments are declared, because their calls can be checked here against
sd-bus(3).
"""

from cffi import FFI

ffibuilder = FFI()
ffibuilder.cdef(
    """
    typedef struct sd_bus sd_bus;
    typedef struct sd_bus_message sd_bus_message;
    typedef struct { const char *name; const char *message; int _need_free; } sd_bus_error;

    int sd_bus_new(sd_bus **bus);
    int sd_bus_set_address(sd_bus *bus, const char *address);
    int sd_bus_set_bus_client(sd_bus *bus, int yes);
    int sd_bus_start(sd_bus *bus);
    sd_bus *sd_bus_close_unref(sd_bus *bus);
    int sd_bus_process(sd_bus *bus, sd_bus_message **message);
    int sd_bus_wait(sd_bus *bus, uint64_t microseconds);
    int sd_bus_call(sd_bus *bus, sd_bus_message *message, uint64_t microseconds, sd_bus_error *error,
                    sd_bus_message **reply);
    int sd_bus_send(sd_bus *bus, sd_bus_message *message, uint64_t *cookie);
    void sd_bus_error_free(sd_bus_error *error);

    int sd_bus_message_new_method_call(sd_bus *bus, sd_bus_message **message, const char *destination, const char *path,
                                       const char *interface, const char *member);
    sd_bus_message *sd_bus_message_unref(sd_bus_message *message);
    int sd_bus_message_set_expect_reply(sd_bus_message *message, int yes);
    int sd_bus_message_is_signal(sd_bus_message *message, const char *interface, const char *member);
    int sd_bus_message_append_basic(sd_bus_message *message, char type, const void *value);
    int sd_bus_message_open_container(sd_bus_message *message, char type, const char *contents);
    int sd_bus_message_close_container(sd_bus_message *message);
    int sd_bus_message_read_basic(sd_bus_message *message, char type, void *value);
    int sd_bus_message_enter_container(sd_bus_message *message, char type, const char *contents);
    """
)
ffibuilder.set_source("pyrunc.ffi._sdbus", None)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
