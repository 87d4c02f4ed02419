//! Masking beside a plain copy of the same bytes: what it costs to touch the payload once more.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hubbub_proto::mask;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Where payloads begin: after a header of 6, 8 or 14 bytes, so never aligned.
const AFTER_HEADER: usize = 6;

fn mask_and_copy(criterion: &mut Criterion) {
    println!("the kernel in use is {}", mask::kernel());
    let mut group = criterion.benchmark_group("mask");
    for len in [5, 16, 64, 1024, 64 * 1024, 1024 * 1024] {
        let source = vec![7_u8; AFTER_HEADER + len];
        let mut data = source.clone();
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::new("memcpy", len), &len, |bencher, _| {
            bencher.iter(|| black_box(&mut data[AFTER_HEADER..]).copy_from_slice(black_box(&source[AFTER_HEADER..])));
        });
        group.bench_with_input(BenchmarkId::new("apply", len), &len, |bencher, _| {
            bencher.iter(|| mask::apply(black_box(&mut data[AFTER_HEADER..]), black_box(KEY), 0));
        });
        for kernel in mask::kernels() {
            group.bench_with_input(BenchmarkId::new(kernel.name(), len), &len, |bencher, _| {
                bencher.iter(|| kernel.apply(black_box(&mut data[AFTER_HEADER..]), black_box(KEY), 0));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, mask_and_copy);
criterion_main!(benches);
