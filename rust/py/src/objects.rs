//! Every Python object that Rust looks up by name, found once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

macro_rules! objects {
    ($($name:ident = $module:literal . $attribute:literal;)*) => {
        $(
            pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
                static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                CELL.get_or_try_init(py, || py.import($module)?.getattr($attribute).map(Bound::unbind))
                    .map(|object| object.bind(py))
            }
        )*
    };
}

objects! {
    connection_closed_ok = "hubbub.errors"."ConnectionClosedOK";
    connection_closed_error = "hubbub.errors"."ConnectionClosedError";
    concurrency_error = "hubbub.errors"."ConcurrencyError";
    too_many_rooms = "hubbub.errors"."TooManyRooms";
    packet_error = "hubbub.errors"."PacketError";
    client_disconnected = "hubbub.errors"."ClientDisconnected";
    cancelled_error = "asyncio"."CancelledError";
    simple_namespace = "types"."SimpleNamespace";
}
