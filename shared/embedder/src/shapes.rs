//! The shapes in which servers write a vector: numbers, numbers in one more list, or base64.
//!
//! OpenAI's own client asks for base64, so some servers send it whatever was asked for; others
//! answer with one list for each pooled vector. The bytes are little-endian 32-bit floats.

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// Standard base64, whose padding some servers omit.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A vector as a server wrote it.
///
/// `null` becomes NaN: JSON has no NaN, so servers in Go and JavaScript write `null`, and the
/// client's check then reports NaN.
#[derive(Debug, PartialEq)]
pub(super) struct WireVector(pub(super) Vec<f32>);

/// A component of a vector, or the one list inside it.
enum Component {
    Number(f32),
    List(Vec<f32>),
}

impl<'de> Deserialize<'de> for WireVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WireVectorVisitor)
    }
}

struct WireVectorVisitor;

impl<'de> Visitor<'de> for WireVectorVisitor {
    type Value = WireVector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector as numbers or as base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<WireVector, E> {
        let bytes = BASE64.decode(text.trim()).map_err(E::custom)?;
        let (floats, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom("the base64 of a vector holds no whole number of 32-bit floats"));
        }
        Ok(WireVector(floats.iter().map(|float| f32::from_le_bytes(*float)).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<WireVector, A::Error> {
        let (mut numbers, mut list) = (Vec::new(), None);
        while let Some(component) = seq.next_element()? {
            match component {
                Component::Number(number) if list.is_none() => numbers.push(number),
                Component::List(inner) if numbers.is_empty() && list.is_none() => list = Some(inner),
                // Several lists are the vectors of single tokens, which are not pooled.
                _ => return Err(A::Error::custom("several vectors for one text")),
            }
        }
        Ok(WireVector(list.unwrap_or(numbers)))
    }
}

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ComponentVisitor)
    }
}

struct ComponentVisitor;

impl<'de> Visitor<'de> for ComponentVisitor {
    type Value = Component;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Component, E> {
        Ok(Component::Number(number as f32))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Component, E> {
        Ok(Component::Number(number as f32))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Component, E> {
        Ok(Component::Number(number as f32))
    }

    fn visit_unit<E>(self) -> Result<Component, E> {
        Ok(Component::Number(f32::NAN))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Component, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = seq.next_element::<Option<f32>>()? {
            numbers.push(number.unwrap_or(f32::NAN));
        }
        Ok(Component::List(numbers))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{from_value, json};

    use super::*;

    fn read(json: serde_json::Value) -> Option<Vec<f32>> {
        from_value::<WireVector>(json).ok().map(|vector| vector.0)
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        for wrong in [
            json!("not base64"),
            json!("AAAA"),
            json!({ "values": [1.0] }),
            json!([[1.0], [2.0]]),
            json!([1.0, [2.0]]),
            json!([[1.0], 2.0]),
            json!([[[1.0]]]),
            json!(["1.0"]),
            json!(null),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(read(json!([])), Some(vec![]));
        assert!(read(json!([1, null])).is_some_and(|vector| vector[0] == 1.0 && vector[1].is_nan()));
    }

    proptest! {
        #[test]
        fn every_shape_gives_the_same_vector(vector in prop::collection::vec(-1e30_f32..1e30, 1..50)) {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            let base64 = BASE64.encode(bytes);
            let unpadded = base64.trim_end_matches('=');
            for shape in [json!(vector), json!([vector]), json!(base64), json!(unpadded)] {
                prop_assert_eq!(read(shape), Some(vector.clone()));
            }
        }
    }
}
