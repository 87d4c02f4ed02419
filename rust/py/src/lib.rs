//! `hubbub._core`: the network, as Python sees it. Everything here converts and forwards; nothing decides.
//!
//! | file | what is in it |
//! |---|---|
//! | `server.rs`, `server/driving.rs` | `Server`: started, driven and stopped by `hubbub.hub`; its turns in the event loop |
//! | `session.rs` | `Session`: the base of `hubbub.WebSocket` |
//! | `exchange.rs` | `Exchange`: an HTTP request and its response, as ASGI has them |
//! | `embedded.rs` | `EmbeddedClient`: a connection's client's end, for a hub that another server hosts |
//! | `scope.rs` | a request as ASGI describes it |
//! | `opening.rs` | `Opening`, `Pending`: a request, and the answer to it |
//! | `waiting.rs` | what `await` meets: `Recv`, `Wait`, `Done`, and the `Waiter` that stands for a future |
//! | `delivery.rs` | `Delivery`: what has come of a broadcast |
//! | `core.rs` | what all of these share |
//! | `home.rs` | the shard, or the way to the shards, of the event loop's thread |
//! | `inbox.rs` | events on their way from the shards to Python |
//! | `dispatch.rs` | events to handlers |
//! | `figures.rs` | the network's figures to `hubbub.Stats` |
//! | `settings.rs` | Python's settings to the network's |
//! | `buffers.rs` | every extraction of bytes from Python objects |
//! | `objects.rs` | every Python object that is looked up by name |
//! | `bench.rs` | `Load`: a run of the load generator |
//! | `socketio.rs` | packets of Socket.IO |
//! | `values.rs` | Python's values walked through, to be written |
//! | `json.rs`, `msgpack.rs` | Python's values to JSON and MessagePack, and back |
//! | `errors.rs` | every exception that is raised |

mod bench;
mod buffers;
mod contexts;
mod core;
mod delivery;
mod dispatch;
mod embedded;
mod errors;
mod events;
mod exchange;
mod figures;
mod home;
mod inbox;
mod json;
mod msgpack;
mod objects;
mod opening;
mod place;
mod scope;
mod server;
mod session;
mod settings;
mod socketio;
mod values;
mod waiting;

#[pyo3::pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::bench::Load;
    #[pymodule_export]
    use crate::delivery::Delivery;
    #[pymodule_export]
    use crate::embedded::EmbeddedClient;
    #[pymodule_export]
    use crate::exchange::{Draining, Exchange, Receiving};
    #[pymodule_export]
    use crate::opening::{Opening, Pending};
    #[pymodule_export]
    use crate::server::Server;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::socketio::{
        MsgpackDecoder, SocketIoDecoder, SocketIoPacket, socketio_encode, socketio_encode_msgpack, socketio_send,
    };
    #[pymodule_export]
    use crate::waiting::{Done, Recv, Wait, Waiter};

    /// The name of the masking kernel that this processor gets.
    #[pyfunction]
    fn mask_kernel() -> &'static str {
        hubbub_net::proto::mask::kernel()
    }
}
