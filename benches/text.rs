//! How fast text is normalised: a megabyte in one go, and fragments as a language model streams
//! them.
//!
//! `cargo bench --bench text`. The text is what is written in the cases of `tests/text`, where
//! nearly every line has something to be read otherwise: harder than what people write.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mynah::text::{NormalStream, Normalizer};
use std::hint::black_box;
use std::time::Duration;

const MEGABYTE: usize = 1 << 20;
/// Characters of a fragment: about a token of a language model.
const FRAGMENT: usize = 4;

const PROSE: &str = "The old harbour was quiet that morning, and nobody on the pier had noticed \
    the small boat that came in with the tide. 那天早上港口很安静，码头上没有人注意到随着潮水进来的那只小船。";

fn cases() -> String {
    [
        include_str!("../tests/text/cases_en.tsv"),
        include_str!("../tests/text/cases_zh.tsv"),
        include_str!("../tests/text/cases_common.tsv"),
    ]
    .iter()
    .flat_map(|file| file.lines().skip(1))
    .filter_map(|line| line.split('\t').nth(1))
    .flat_map(|written| [written, "\n"])
    .collect()
}

/// A megabyte of a text said again and again.
fn megabyte(text: &str) -> String {
    let mut out = String::with_capacity(MEGABYTE + text.len());
    while out.len() < MEGABYTE {
        out += text;
        out.push('\n');
    }
    out
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("normalize a megabyte");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Bytes(MEGABYTE as u64));
    for (name, text) in [("cases", megabyte(&cases())), ("prose", megabyte(PROSE))] {
        let normalizer = Normalizer::default();
        group.bench_function(name, |b| b.iter(|| black_box(normalizer.normalize(&text)).len()));
    }
    group.finish();
}

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("normalize a stream");
    for (name, text) in [("cases", cases()), ("prose", PROSE.repeat(20))] {
        let chars: Vec<char> = text.chars().collect();
        let fragments: Vec<String> =
            chars.chunks(FRAGMENT).map(|chars| chars.iter().collect()).collect();
        group.throughput(Throughput::Elements(fragments.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched(
                NormalStream::default,
                |mut stream| {
                    let pieces =
                        fragments.iter().map(|text| stream.push(text).len()).sum::<usize>();
                    black_box(pieces + stream.finish().len())
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, whole, stream);
criterion_main!(benches);
