//! One broadcast to a room, through its members' outboxes into their sockets, and sixteen that share a write.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

mod crowd;

const PAYLOAD: [u8; 64] = [b'a'; 64];
const FRAME_BYTES: usize = 66;

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out of 64 B");
    for members in [10, 1000] {
        let mut crowd = crowd::Crowd::gather(members).expect("loopback sockets");
        for merged in [1, 16] {
            group.throughput(Throughput::Elements((members * merged) as u64));
            group.bench_with_input(
                BenchmarkId::new(format!("{merged} in one write"), members),
                &merged,
                |bencher, _| {
                    bencher.iter_custom(|times| {
                        let mut spent = Duration::ZERO;
                        for _ in 0..times {
                            let began = Instant::now();
                            crowd.broadcast(&PAYLOAD, merged);
                            spent += began.elapsed();
                            assert_eq!(crowd.read(), members * merged * FRAME_BYTES);
                        }
                        spent
                    });
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
