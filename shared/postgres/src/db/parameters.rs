//! Parameters of statements, sent with their Postgres types, which follow from their Rust types.

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// A parameter of a statement, and its Postgres type.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The parameters of a statement.
pub type Parameters<'a> = &'a [Parameter<'a>];

/// Builds [`Parameters`] from values. Vectors are not supported, because only the [`Db`](super::Db)
/// knows their type.
#[macro_export]
macro_rules! parameters {
    ($($value:expr),* $(,)?) => {
        &[$($crate::db::parameters::typed(&$value)),*]
    };
}

/// Returns a value with its Postgres type.
pub fn typed<T: SqlType + ToSql + Sync>(value: &T) -> Parameter<'_> {
    (value, T::TYPE)
}

/// A Rust type that maps to one Postgres type.
pub trait SqlType {
    /// The Postgres type of one value.
    const TYPE: Type;
    /// The Postgres type of an array of values.
    const ARRAY: Type;
}

macro_rules! sql_types {
    ($($rust:ty => $one:ident, $several:ident;)*) => {
        $(impl SqlType for $rust {
            const TYPE: Type = Type::$one;
            const ARRAY: Type = Type::$several;
        })*
    };
}

sql_types! {
    bool => BOOL, BOOL_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
    f32 => FLOAT4, FLOAT4_ARRAY;
    f64 => FLOAT8, FLOAT8_ARRAY;
    str => TEXT, TEXT_ARRAY;
    String => TEXT, TEXT_ARRAY;
    [u8] => BYTEA, BYTEA_ARRAY;
    Uuid => UUID, UUID_ARRAY;
    jiff::Timestamp => TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
    serde_json::Value => JSONB, JSONB_ARRAY;
}

impl<T: SqlType + ?Sized> SqlType for &T {
    const TYPE: Type = T::TYPE;
    const ARRAY: Type = T::ARRAY;
}

impl<T: SqlType> SqlType for Option<T> {
    const TYPE: Type = T::TYPE;
    const ARRAY: Type = T::ARRAY;
}

impl<T: SqlType> SqlType for [T] {
    const TYPE: Type = T::ARRAY;
    const ARRAY: Type = T::ARRAY;
}

impl<T: SqlType> SqlType for Vec<T> {
    const TYPE: Type = T::ARRAY;
    const ARRAY: Type = T::ARRAY;
}
