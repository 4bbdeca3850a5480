//! Triangular filters over spectral bins.

/// Filters as the runs of bins they are not zero on.
#[derive(Debug, Clone)]
pub struct Filterbank {
    filters: Vec<Filter>,
    bins: usize,
}

#[derive(Debug, Clone)]
struct Filter {
    first: usize,
    weights: Vec<f32>,
}

impl Filterbank {
    /// Builds `filters` from the weight of filter `i` at bin `k`, of `bins` bins.
    pub(super) fn new(
        filters: usize,
        bins: usize,
        weight: impl Fn(usize, usize) -> f64,
    ) -> Filterbank {
        let filters = (0..filters)
            .map(|i| {
                let row: Vec<f32> = (0..bins).map(|k| weight(i, k) as f32).collect();
                let first = row.iter().position(|w| *w != 0.0).unwrap_or(0);
                let end = row.iter().rposition(|w| *w != 0.0).map_or(first, |last| last + 1);
                Filter { first, weights: row[first..end].to_vec() }
            })
            .collect();
        Filterbank { filters, bins }
    }

    /// `filters` bands from 0 Hz to `high` Hz, equally spaced on the Slaney mel scale (linear to
    /// 1 kHz, logarithmic above), each of unit area, over the `n_fft / 2 + 1` bins of a transform
    /// at `rate` Hz. (Slaney, Auditory Toolbox, 1998.)
    pub fn slaney(rate: f64, n_fft: usize, filters: usize, high: f64) -> Filterbank {
        const LINEAR: f64 = 200.0 / 3.0;
        const KNEE: f64 = 1000.0 / LINEAR;
        let step = 6.4f64.ln() / 27.0;
        let to_mel = |hz: f64| {
            if hz < 1000.0 { hz / LINEAR } else { KNEE + (hz / 1000.0).ln() / step }
        };
        let to_hz = |mel: f64| {
            if mel < KNEE { mel * LINEAR } else { 1000.0 * (step * (mel - KNEE)).exp() }
        };
        let edge = |i: usize| to_hz(to_mel(high) * i as f64 / (filters + 1) as f64);
        Self::new(filters, n_fft / 2 + 1, |i, k| {
            let hz = k as f64 * rate / n_fft as f64;
            let (left, centre, right) = (edge(i), edge(i + 1), edge(i + 2));
            triangle(hz, left, centre, right) * 2.0 / (right - left)
        })
    }

    /// Number of filters.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// All weights, `[filters, bins]`.
    pub fn dense(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.filters.len() * self.bins];
        for (row, filter) in out.chunks_exact_mut(self.bins.max(1)).zip(&self.filters) {
            row[filter.first..filter.first + filter.weights.len()].copy_from_slice(&filter.weights);
        }
        out
    }

    /// The weighted sum of a spectrum for every filter. The spectrum may hold more bins than the
    /// filters know of.
    pub(super) fn apply<'a>(&'a self, spectrum: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.filters.iter().map(|filter| {
            let bins = spectrum.get(filter.first..).unwrap_or_default();
            filter.weights.iter().zip(bins).map(|(w, x)| f64::from(*w) * x).sum()
        })
    }
}

/// Height at `x` of the triangle that rises from `left` to 1 at `centre` and falls to `right`.
pub(super) fn triangle(x: f64, left: f64, centre: f64, right: f64) -> f64 {
    ((x - left) / (centre - left)).min((right - x) / (right - centre)).max(0.0)
}
