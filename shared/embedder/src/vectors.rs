//! Checks the answer of a provider before it is stored or used in a search.

use super::VectorFault;

/// The least length of a vector. Below it, 32-bit floats cannot hold a direction.
const SHORTEST: f64 = 1e-12;

/// Checks an answer for `texts` texts, and scales each vector to length 1.
///
/// Returns the dimension (0 for no texts).
pub(super) fn check_and_normalise(vectors: &mut [Vec<f32>], texts: usize) -> Result<usize, VectorFault> {
    if vectors.len() != texts {
        return Err(VectorFault::Count { expected: texts, got: vectors.len() });
    }
    let dimension = vectors.first().map_or(0, Vec::len);
    for (index, vector) in vectors.iter_mut().enumerate() {
        if vector.is_empty() {
            return Err(VectorFault::Empty { index });
        }
        if vector.len() != dimension {
            return Err(VectorFault::Mixed { index, expected: dimension, got: vector.len() });
        }
        // In 64 bits: components of 1e30 are finite, but their squares overflow 32 bits.
        let length = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() {
            return Err(VectorFault::NotFinite { index });
        }
        if length < SHORTEST {
            return Err(VectorFault::Zero { index });
        }
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    Ok(dimension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_leave_with_length_one() {
        let mut vectors = vec![vec![3.0, 4.0], vec![1e30, 0.0]];
        assert_eq!(check_and_normalise(&mut vectors, 2), Ok(2));
        assert_eq!(vectors, [[0.6, 0.8], [1.0, 0.0]]);
    }

    #[test]
    fn unusable_vectors_are_refused_and_named() {
        let check = |mut vectors: Vec<Vec<f32>>, texts| check_and_normalise(&mut vectors, texts);
        assert_eq!(check(vec![vec![1.0]], 2), Err(VectorFault::Count { expected: 2, got: 1 }));
        assert_eq!(check(vec![vec![1.0], vec![]], 2), Err(VectorFault::Empty { index: 1 }));
        assert_eq!(check(vec![vec![1.0], vec![0.0]], 2), Err(VectorFault::Zero { index: 1 }));
        assert_eq!(check(vec![vec![f32::NAN]], 1), Err(VectorFault::NotFinite { index: 0 }));
        assert_eq!(check(vec![vec![f32::INFINITY, 1.0]], 1), Err(VectorFault::NotFinite { index: 0 }));
        let mixed = check(vec![vec![1.0], vec![1.0, 2.0]], 2);
        assert_eq!(mixed, Err(VectorFault::Mixed { index: 1, expected: 1, got: 2 }));
    }
}
