//! What statements are given: values, in words that both databases understand.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

/// A value that a statement is given.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Value<'v> {
    Integer(Option<i64>),
    Text(Option<&'v str>),
    Bytes(Option<&'v [u8]>),
    /// A set of bits, the lowest of the first byte first. `SQLite` has no such thing: there they are bytes.
    Bits(&'v [u8]),
    /// Integers of which a column has one.
    List(&'v [i64]),
}

/// What becomes a value.
pub(in crate::store) trait ToValue {
    fn to_value(&self) -> Value<'_>;
    /// None, with the type that it would have.
    fn none<'v>() -> Value<'v>;
}

macro_rules! to_value {
    ($($type:ty => $kind:ident: |$value:ident| $inner:expr;)*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value<'_> {
                let $value = self;
                Value::$kind(Some($inner))
            }

            fn none<'v>() -> Value<'v> {
                Value::$kind(None)
            }
        }
    )*};
}

to_value! {
    i64 => Integer: |value| *value;
    u32 => Integer: |value| i64::from(*value);
    bool => Integer: |value| i64::from(*value);
    str => Text: |value| value;
    String => Text: |value| value.as_str();
    [u8] => Bytes: |value| value;
    Vec<u8> => Bytes: |value| value.as_slice();
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value<'_> {
        Value::Bytes(Some(self))
    }

    fn none<'v>() -> Value<'v> {
        Value::Bytes(None)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }

    fn none<'v>() -> Value<'v> {
        T::none()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or_else(T::none, T::to_value)
    }

    fn none<'v>() -> Value<'v> {
        T::none()
    }
}

/// The values of a statement's parameters, in their order.
pub(in crate::store) trait Params {
    fn with<R>(self, pass_on: impl FnOnce(&[Value<'_>]) -> R) -> R;
}

impl Params for &[Value<'_>] {
    fn with<R>(self, pass_on: impl FnOnce(&[Value<'_>]) -> R) -> R {
        pass_on(self)
    }
}

impl<T: ToValue, const N: usize> Params for [T; N] {
    fn with<R>(self, pass_on: impl FnOnce(&[Value<'_>]) -> R) -> R {
        pass_on(&self.each_ref().map(ToValue::to_value))
    }
}

macro_rules! tuple_params {
    ($($($name:ident)*;)*) => {$(
        impl<$($name: ToValue),*> Params for ($($name,)*) {
            #[expect(non_snake_case, reason = "names of types become names of values")]
            fn with<R>(self, pass_on: impl FnOnce(&[Value<'_>]) -> R) -> R {
                let ($($name,)*) = &self;
                pass_on(&[$($name.to_value()),*])
            }
        }
    )*};
}

impl Params for () {
    fn with<R>(self, pass_on: impl FnOnce(&[Value<'_>]) -> R) -> R {
        pass_on(&[])
    }
}

tuple_params! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let borrowed = match *self {
            Self::Integer(Some(value)) => ValueRef::Integer(value),
            Self::Text(Some(value)) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(Some(value)) | Self::Bits(value) => ValueRef::Blob(value),
            Self::Integer(None) | Self::Text(None) | Self::Bytes(None) => ValueRef::Null,
            Self::List(values) => {
                let values: Vec<_> = values.iter().map(i64::to_string).collect();
                return Ok(format!("[{}]", values.join(",")).into());
            }
        };
        Ok(ToSqlOutput::Borrowed(borrowed))
    }
}

impl Value<'_> {
    /// The type that a parameter has in PostgreSQL, whatever the statement would make of it.
    pub(super) fn server_type(&self) -> Type {
        match self {
            Self::Integer(_) => Type::INT8,
            Self::Text(_) => Type::TEXT,
            Self::Bytes(_) => Type::BYTEA,
            Self::Bits(_) => Type::VARBIT,
            Self::List(_) => Type::INT8_ARRAY,
        }
    }

    /// The type of a list of such values.
    pub(super) fn server_list_type(&self) -> Type {
        match self {
            Self::Integer(_) | Self::List(_) => Type::INT8_ARRAY,
            Self::Text(_) => Type::TEXT_ARRAY,
            Self::Bytes(_) => Type::BYTEA_ARRAY,
            Self::Bits(_) => Type::VARBIT_ARRAY,
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *self {
            Self::Integer(Some(value)) => value.to_sql(&Type::INT8, out),
            Self::Text(Some(value)) if value.contains('\0') => {
                // Its text holds anything but NUL, which is shown as such.
                value.replace('\0', "\u{2400}").to_sql(&Type::TEXT, out)
            }
            Self::Text(Some(value)) => value.to_sql(&Type::TEXT, out),
            Self::Bytes(Some(value)) => value.to_sql(&Type::BYTEA, out),
            Self::Bits(bytes) => {
                out.put_i32(i32::try_from(bytes.len() * 8)?);
                out.extend(bytes.iter().map(|byte| byte.reverse_bits()));
                Ok(IsNull::No)
            }
            Self::List(values) => values.to_sql(ty, out),
            Self::Integer(None) | Self::Text(None) | Self::Bytes(None) => Ok(IsNull::Yes),
        }
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }

    fn encode_format(&self, _ty: &Type) -> Format {
        Format::Binary
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(ty, out)
    }
}
