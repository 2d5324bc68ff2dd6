//! One number for each of several parts, in one statement: a round trip for all of them, each by an index, and nothing is sorted.

use std::collections::BTreeMap;

use diesel::Connection;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};

use crate::db::engine::connection::AnyConnection;

/// `SELECT {number} FROM {rows}` for each part, whose texts `rows` names as `parts.column1` and so on. The first text tells parts apart.
pub(in crate::db) struct EachPart<'a> {
    /// What of the rows: `COUNT(*)`, or a sum that is a bigint.
    pub(in crate::db) number: &'a str,
    /// A table and its condition. It is our own text, never a caller's.
    pub(in crate::db) rows: &'a str,
    /// As many texts for each part.
    pub(in crate::db) parts: &'a [Vec<String>],
}

impl EachPart<'_> {
    /// The numbers, in the order of the parts.
    pub(in crate::db) fn load(&self, conn: &mut AnyConnection) -> QueryResult<Vec<i64>> {
        if self.parts.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<(String, i64)> = RunQueryDsl::load(self, conn)?;
        let numbers: BTreeMap<String, i64> = numbers.into_iter().collect();
        let number = |part: &Vec<String>| part.first().and_then(|key| numbers.get(key)).copied();
        let numbers = self.parts.iter().map(|part| number(part).unwrap_or(0));
        Ok(numbers.collect())
    }
}

impl QueryId for EachPart<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for &EachPart<'_> {
    type SqlType = (Text, BigInt);
}

impl RunQueryDsl<AnyConnection> for &EachPart<'_> {}

impl QueryFragment<<AnyConnection as Connection>::Backend> for EachPart<'_> {
    fn walk_ast<'b>(
        &'b self,
        mut out: AstPass<'_, 'b, <AnyConnection as Connection>::Backend>,
    ) -> QueryResult<()> {
        for text in [
            "SELECT parts.column1, (SELECT ",
            self.number,
            " FROM ",
            self.rows,
        ] {
            out.push_sql(text);
        }
        // Both databases call the columns of VALUES so.
        out.push_sql(") FROM (VALUES ");
        for (n, part) in self.parts.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            for (n, text) in part.iter().enumerate() {
                out.push_sql(if n == 0 { "" } else { ", " });
                out.push_bind_param::<Text, _>(text)?;
            }
            out.push_sql(")");
        }
        out.push_sql(") AS parts");
        Ok(())
    }
}
