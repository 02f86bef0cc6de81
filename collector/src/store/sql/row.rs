//! What answers are read from: a row of either database.

use std::borrow::Cow;
use std::error::Error as StdError;

use rusqlite::types::ValueRef;
use tokio_postgres::types::{FromSql, Type};

use super::{Error, Result};

/// A row of an answer.
pub(in crate::store) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    /// What a column holds.
    pub(in crate::store) fn get<T: FromColumn>(&self, index: usize) -> Result<T> {
        let wrong = |what| Error::Column { index, what };
        T::from_column(self.column(index)?).map_err(wrong)
    }

    /// The text of a column, where it is one.
    pub(in crate::store) fn text(&self, index: usize) -> Result<Option<&str>> {
        match self.column(index)? {
            Column::Text(text) => Ok(Some(text)),
            Column::Null | Column::Integer(_) | Column::Bytes(_) => Ok(None),
        }
    }

    /// The bytes of a column, or none where it is something else.
    pub(in crate::store) fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        match self.column(index)? {
            Column::Bytes(bytes) => Ok(bytes),
            Column::Null | Column::Integer(_) | Column::Text(_) => Ok(Cow::Borrowed(&[])),
        }
    }

    fn column(&self, index: usize) -> Result<Column<'_>> {
        let not_utf8 = |_error| Error::Column {
            index,
            what: "its text is not UTF-8",
        };
        match self {
            Self::Sqlite(row) => Ok(match row.get_ref(index)? {
                ValueRef::Null => Column::Null,
                ValueRef::Integer(value) => Column::Integer(value),
                ValueRef::Text(text) => Column::Text(std::str::from_utf8(text).map_err(not_utf8)?),
                ValueRef::Blob(bytes) => Column::Bytes(Cow::Borrowed(bytes)),
                ValueRef::Real(_) => {
                    let what = "a number with a fraction";
                    return Err(Error::Column { index, what });
                }
            }),
            Self::Postgres(row) => Ok(row.try_get(index)?),
        }
    }
}

/// What a column holds.
pub(in crate::store) enum Column<'r> {
    Null,
    Integer(i64),
    Text(&'r str),
    Bytes(Cow<'r, [u8]>),
}

impl<'r> FromSql<'r> for Column<'r> {
    fn from_sql(
        ty: &Type,
        raw: &'r [u8],
    ) -> std::result::Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Self::Integer(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Integer(bool::from_sql(ty, raw)?.into()),
            Type::BYTEA => Self::Bytes(Cow::Borrowed(raw)),
            // The number of bits, and the bits, the highest of each byte first.
            Type::BIT | Type::VARBIT => {
                let bits = raw.get(4..).unwrap_or_default();
                Self::Bytes(bits.iter().map(|byte| byte.reverse_bits()).collect())
            }
            _ => Self::Text(std::str::from_utf8(raw)?),
        })
    }

    fn from_sql_null(_ty: &Type) -> std::result::Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        let known = [
            Type::INT8,
            Type::INT4,
            Type::BOOL,
            Type::BYTEA,
            Type::BIT,
            Type::VARBIT,
            Type::TEXT,
            Type::VARCHAR,
            Type::NAME,
            Type::UNKNOWN,
        ];
        known.contains(ty)
    }
}

/// What a column can be read as.
pub(in crate::store) trait FromColumn: Sized {
    fn from_column(column: Column<'_>) -> std::result::Result<Self, &'static str>;
}

impl FromColumn for i64 {
    fn from_column(column: Column<'_>) -> std::result::Result<Self, &'static str> {
        match column {
            Column::Integer(value) => Ok(value),
            Column::Null | Column::Text(_) | Column::Bytes(_) => Err("it is no integer"),
        }
    }
}

impl FromColumn for u32 {
    fn from_column(column: Column<'_>) -> std::result::Result<Self, &'static str> {
        Self::try_from(i64::from_column(column)?).map_err(|_error| "its integer is out of range")
    }
}

impl FromColumn for bool {
    fn from_column(column: Column<'_>) -> std::result::Result<Self, &'static str> {
        Ok(i64::from_column(column)? != 0)
    }
}

impl FromColumn for String {
    fn from_column(column: Column<'_>) -> std::result::Result<Self, &'static str> {
        match column {
            Column::Text(text) => Ok(text.to_owned()),
            Column::Null | Column::Integer(_) | Column::Bytes(_) => Err("it is no text"),
        }
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(column: Column<'_>) -> std::result::Result<Self, &'static str> {
        match column {
            Column::Bytes(bytes) => Ok(bytes.into_owned()),
            Column::Null | Column::Integer(_) | Column::Text(_) => Err("it holds no bytes"),
        }
    }
}

impl<const N: usize> FromColumn for [u8; N] {
    fn from_column(column: Column<'_>) -> std::result::Result<Self, &'static str> {
        let bytes = Vec::from_column(column)?;
        Self::try_from(bytes).map_err(|_bytes| "it has not as many bytes as it must")
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(column: Column<'_>) -> std::result::Result<Self, &'static str> {
        match column {
            Column::Null => Ok(None),
            column => T::from_column(column).map(Some),
        }
    }
}
