//! A session's requests on two connections, in any order and for any time: each is answered once.

#![no_main]

#[path = "../../proto/tests/all/world.rs"]
mod world;

use hubbub_proto::session::Dialect;
use libfuzzer_sys::fuzz_target;
use world::{World, inputs};

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let mut world = World::new(if first % 2 == 0 { Dialect::Comet } else { Dialect::EngineIo });
    let inputs: Vec<_> = inputs().collect();
    for byte in rest {
        if world.happens(inputs[usize::from(*byte) % inputs.len()]) && !world.over {
            world.is_sound();
        }
        if world.over {
            return;
        }
    }
});
