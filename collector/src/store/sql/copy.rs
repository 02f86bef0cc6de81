//! Many rows of a table at once.

/// Says into which table rows go.
pub(in crate::store) struct Insert<const N: usize> {
    pub(in crate::store) table: &'static str,
    pub(in crate::store) columns: [&'static str; N],
    /// What is done where a row is there already; nothing where none can be, so that they may be copied in.
    pub(in crate::store) on_conflict: &'static str,
}

impl<const N: usize> Insert<N> {
    /// The statement for one row.
    pub(super) fn row_by_row(&self) -> String {
        let Self {
            table,
            columns,
            on_conflict,
        } = self;
        let places: Vec<_> = (1..=N).map(|place| format!("?{place}")).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        format!("INSERT INTO {table} ({columns}) VALUES ({places}) {on_conflict}")
    }

    /// The statement for lists of what is in the columns.
    pub(super) fn of_lists(&self) -> String {
        let Self {
            table,
            columns,
            on_conflict,
        } = self;
        let places: Vec<_> = (1..=N).map(|place| format!("?{place}")).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        format!("INSERT INTO {table} ({columns}) SELECT * FROM unnest({places}) {on_conflict}")
    }

    /// The statement for a copy.
    pub(super) fn copied(&self) -> String {
        let Self { table, columns, .. } = self;
        format!(
            "COPY {table} ({}) FROM STDIN (FORMAT binary)",
            columns.join(", ")
        )
    }
}
