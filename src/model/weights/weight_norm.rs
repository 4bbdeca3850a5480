//! Folds weight norm (Salimans & Kingma, 2016) into plain weights: `w = g · v / ‖v‖`, the norm
//! over all dimensions but the first.

use super::WeightsError;
use super::tensor_data::TensorSource;
use std::collections::BTreeMap;
use std::path::Path;

/// Names of magnitude and direction below a module: those of PyTorch's parametrizations and those
/// of its older hooks.
const NAMINGS: [(&str, &str); 2] = [
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ("weight_g", "weight_v"),
];

/// Replaces each pair of magnitude and direction by the weight they make, which is computed when
/// it is asked for.
pub(super) fn fold(
    path: &Path,
    tensors: &mut BTreeMap<String, TensorSource>,
) -> Result<(), WeightsError> {
    for (magnitude, direction) in NAMINGS {
        let modules: Vec<String> = tensors
            .keys()
            .filter_map(|name| name.strip_suffix(magnitude))
            .filter(|module| module.is_empty() || module.ends_with('.'))
            .filter(|module| tensors.contains_key(&format!("{module}{direction}")))
            .map(str::to_owned)
            .collect();
        for module in modules {
            let name = format!("{module}weight");
            let error =
                |reason| WeightsError::Data { file: path.into(), tensor: name.clone(), reason };
            let g = tensors.remove(&format!("{module}{magnitude}"));
            let v = tensors.remove(&format!("{module}{direction}"));
            let (Some(g), Some(v)) = (g, v) else { continue };
            let folded = TensorSource::weight_norm(g, v).map_err(error)?;
            if tensors.insert(name.clone(), folded).is_some() {
                return Err(error("is stored both as it is and with weight norm".into()));
            }
        }
    }
    Ok(())
}

/// Scales each row of `v`, of `v.len() / g.len()` values, to the norm that `g` gives it.
pub(super) fn apply(g: &[f32], mut v: Vec<f32>) -> Result<Vec<f32>, String> {
    if v.is_empty() {
        return Ok(v);
    }
    let row_len = v.len().checked_div(g.len()).filter(|len| len * g.len() == v.len());
    let row_len = row_len.filter(|len| *len > 0).ok_or("weight norm of unequal sizes")?;
    for (index, (row, g)) in v.chunks_exact_mut(row_len).zip(g).enumerate() {
        let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Err(format!("weight norm of row {index}, which is all zero"));
        }
        let scale = (f64::from(*g) / norm) as f32;
        row.iter_mut().for_each(|x| *x *= scale);
    }
    Ok(v)
}
