//! Self-attention with relative positions (Dai et al. 2019), as the encoder's layers use it.

use super::cache::{Past, attend};
use crate::model::nn::{self, Linear, RelativePositions, attend_whole, matmul};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Mutex;

/// Multi-head attention where `score(i, j) = ((q_i + u) · k_j + (q_i + v) · p(i - j)) / sqrt(d)`,
/// `p` a projection of the sinusoidal encoding of the signed distance.
#[derive(Debug)]
pub struct RelativeAttention {
    /// Queries (scaled by `1 / sqrt(d)`), keys and values in one map, `[3 * width, width]`.
    qkv: Linear,
    output: Linear,
    position: Linear,
    /// `u` and `v`, scaled as the queries, each `[1, heads, 1, head_dim]`.
    content_bias: Tensor<4>,
    position_bias: Tensor<4>,
    /// Both as `[2, heads, head_dim]`.
    biases: Tensor<3>,
    distances: Mutex<Option<Distances>>,
    heads: usize,
    width: usize,
}

/// Most positions, 82 s of frames, whose distances are kept; for longer sequences they are
/// projected in every call.
const MOST_KEPT: usize = 4096;

/// Projected encodings of the distances `past - 1` down to `-(future - 1)`.
#[derive(Debug, Clone)]
struct Distances {
    /// `[1, heads, head_dim, past + future - 1]`
    columns: Tensor<4>,
    /// The same as `[past + future - 1, width]`, where a kernel of the device may read them.
    rows: Option<Tensor<2>>,
    past: usize,
    future: usize,
}

impl RelativeAttention {
    /// Loads `linear_{q,k,v,out,pos}` and `pos_bias_{u,v}`.
    pub fn load(scope: &Scope, width: usize, heads: usize) -> Result<Self, WeightsError> {
        let size = width / heads;
        let scale = 1.0 / (size as f64).sqrt();
        let weight = |name: &str| scope.tensor::<2>(&format!("{name}.weight"), [width, width]);
        let bias = |name: &str| scope.tensor::<1>(&format!("{name}.bias"), [width]);
        let head_bias = |name: &str| -> Result<Tensor<4>, WeightsError> {
            Ok(scope.tensor::<2>(name, [heads, size])?.reshape([1, heads, 1, size]) * scale)
        };
        let qkv = Linear::new(
            Tensor::cat(
                vec![weight("linear_q")? * scale, weight("linear_k")?, weight("linear_v")?],
                0,
            ),
            Some(Tensor::cat(
                vec![bias("linear_q")? * scale, bias("linear_k")?, bias("linear_v")?],
                0,
            )),
            scope.precision(),
        );
        let (content_bias, position_bias) = (head_bias("pos_bias_u")?, head_bias("pos_bias_v")?);
        let biases = Tensor::cat(vec![content_bias.clone(), position_bias.clone()], 0);
        Ok(Self {
            qkv,
            output: Linear::load(&scope.sub("linear_out"), width, width)?,
            position: Linear::load_no_bias(&scope.sub("linear_pos"), width, width)?,
            content_bias,
            position_bias,
            biases: biases.reshape([2, heads, size]),
            distances: Mutex::new(None),
            heads,
            width,
        })
    }

    /// BTC to BTC. `bias` `[1, 1, queries, keys]` is added to the scores.
    pub fn forward(&self, x: Tensor<3>, bias: Option<&Tensor<4>>, past: Past) -> Tensor<3> {
        let [batch, queries, _] = x.dims();
        let (heads, size) = (self.heads, self.width / self.heads);
        let device = x.device();
        let qkv = self.qkv.forward_rows(x);
        let positions = |keys: usize| {
            let Distances { rows, past, .. } = self.table(keys, queries, &device);
            RelativePositions::new(self.biases.clone(), rows?, past - keys)
        };
        let past = match past {
            Past::Pages(hop, layer) => {
                let relative = positions(hop.seen());
                assert!(relative.is_some(), "distances on the device of the pages");
                return self.output.forward_rows(hop.attend(&qkv, layer, relative.as_ref()));
            }
            Past::Caches([]) => {
                let relative = if bias.is_none() { positions(queries) } else { None };
                let mixed = relative.and_then(|all| attend_whole(&qkv, heads, Some(&all)));
                if let Some(mixed) = mixed {
                    return self.output.forward_rows(mixed);
                }
                None
            }
            Past::Caches(past) => past.first_mut(),
        };
        let split = qkv.reshape([batch, queries, 3 * heads, size]).swap_dims(1, 2);
        let part = |i: usize| split.clone().narrow(1, i * heads, heads);
        let (query, key, value) = (part(0), part(1), part(2));
        let runs = match past {
            Some(past) => past.append(key.transpose(), value),
            None => vec![(key.transpose(), value)],
        };
        let keys = runs.iter().map(|(_, values)| values.dims()[2]).sum();
        let distances = self.distances(keys, queries, &device);
        let by_distance = query.clone() + self.position_bias.clone();
        let query = query + self.content_bias.clone();
        if bias.is_none() {
            let distances = nn::Distances { queries: &by_distance, columns: &distances };
            if let Some(mixed) = nn::attention(&query, &runs, Some(&distances)) {
                return self.output.forward_rows(mixed);
            }
        }
        let position = align_distances(matmul(by_distance, distances), keys);
        let (mut scores, mut values, mut start) = (Vec::new(), Vec::new(), 0);
        for (key, value) in runs {
            let length = value.dims()[2];
            let content = matmul(query.clone(), key);
            let score = content + position.clone().narrow(3, start, length);
            scores.push(match bias {
                Some(bias) => score + bias.clone().narrow(3, start, length),
                None => score,
            });
            values.push(value);
            start += length;
        }
        self.output.forward_rows(attend(scores, values))
    }

    /// Projected encodings for every distance from a query to a key: `keys - 1` down to
    /// `-(queries - 1)`, `[1, heads, head_dim, keys + queries - 1]`. They depend on the weights
    /// alone, so one table serves all sessions. It grows to what is usual and no further.
    fn distances(&self, keys: usize, queries: usize, device: &Device) -> Tensor<4> {
        let table = self.table(keys, queries, device);
        table.columns.narrow(3, table.past - keys, keys + queries - 1)
    }

    /// What holds these distances among others.
    fn table(&self, keys: usize, queries: usize, device: &Device) -> Distances {
        if keys.max(queries) > MOST_KEPT {
            return self.project(keys, queries, device);
        }
        let mut held = self.distances.lock().unwrap_or_else(|e| e.into_inner());
        let (past, future) = held.as_ref().map_or((0, 0), |d| (d.past, d.future));
        let table = match held.take() {
            Some(table) if past >= keys && future >= queries => table,
            _ => {
                let past = past.max(keys.next_power_of_two());
                self.project(past, future.max(queries.next_power_of_two()), device)
            }
        };
        held.insert(table).clone()
    }

    fn project(&self, past: usize, future: usize, device: &Device) -> Distances {
        let encoding = distance_encoding(past, future, self.width, device);
        let projected = self.position.forward(encoding);
        let shape = [1, self.heads, self.width / self.heads, past + future - 1];
        let columns = projected.clone().swap_dims(1, 2).reshape(shape);
        let rows = (*device != Device::flex()).then(|| projected.squeeze_dim(0));
        Distances { columns, rows, past, future }
    }
}

/// Sinusoidal encoding of the distances `past - 1` down to `-(future - 1)`, `[1, distances,
/// width]`: channel `2m` is `sin(r w)`, `2m + 1` is `cos(r w)`, `w = 10000^(-2m / width)`.
pub fn distance_encoding(past: usize, future: usize, width: usize, device: &Device) -> Tensor<3> {
    let rows = past + future - 1;
    let rate = |channel: usize| 10_000f64.powf(-((channel & !1) as f64) / width as f64);
    let rates: Vec<f64> = (0..width).map(rate).collect();
    let mut values = Vec::with_capacity(rows * width);
    for row in 0..rows {
        let distance = past as f64 - 1.0 - row as f64;
        values.extend(rates.iter().enumerate().map(|(channel, rate)| {
            let angle = distance * rate;
            (if channel % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
        }));
    }
    Tensor::from_data(TensorData::new(values, [1, rows, width]), device)
}

/// Scores by distance `[batch, heads, queries, keys + queries - 1]` to scores by key
/// `[batch, heads, queries, keys]`: row `i` starts at column `queries - 1 - i`. Read as one line,
/// the rows of the result lie one element less than a row apart.
fn align_distances(scores: Tensor<4>, keys: usize) -> Tensor<4> {
    let [batch, heads, queries, distances] = scores.dims();
    if queries == 1 {
        return scores;
    }
    let step = distances - 1;
    scores
        .reshape([batch, heads, queries * distances])
        .narrow(2, queries - 1, queries * step)
        .reshape([batch, heads, queries, step])
        .narrow(3, 0, keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the alignment by its definition, for fewer queries than keys as in a hop.
    #[test]
    fn rows_shift_to_their_own_keys() {
        let (queries, keys) = (3, 5);
        let distances = keys + queries - 1;
        // Column c holds the distance keys - 1 - c.
        let row: Vec<f32> = (0..distances).map(|c| keys as f32 - 1.0 - c as f32).collect();
        let scores = TensorData::new(row.repeat(queries), [1, 1, queries, distances]);
        let aligned = align_distances(Tensor::from_data(scores, &Device::flex()), keys);
        let got: Vec<f32> = aligned.into_data().iter::<f32>().collect();
        for i in 0..queries {
            for j in 0..keys {
                let position = (keys - queries + i) as f32;
                assert_eq!(got[i * keys + j], position - j as f32, "query {i} key {j}");
            }
        }
    }
}
