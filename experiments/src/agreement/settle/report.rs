//! How epochs ended, for people and machines.

use serde_json::{Value, json};

use crate::table::Table;

/// One epoch as it ended.
#[derive(Clone, Debug, Default)]
pub struct EpochRow {
    pub epoch: u64,
    /// Seconds from its end to the block that made it final.
    pub after: u64,
    /// Honest members who signed the final outcome of its span.
    pub signed: usize,
    /// Honest members who signed another.
    pub other: usize,
    /// Honest nodes for which it is settled, computed alike.
    pub settled: usize,
    pub gas: u64,
    pub claims: u64,
    pub claim_gas: u64,
}

impl EpochRow {
    fn cells(&self) -> Vec<String> {
        vec![
            self.epoch.to_string(),
            self.after.to_string(),
            self.signed.to_string(),
            self.other.to_string(),
            self.settled.to_string(),
            self.gas.to_string(),
            self.claims.to_string(),
            self.mean_claim().to_string(),
        ]
    }

    fn mean_claim(&self) -> u64 {
        self.claim_gas.checked_div(self.claims).unwrap_or(0)
    }

    fn json(&self) -> Value {
        json!({
            "epoch": self.epoch, "final_after_s": self.after, "same_table": self.signed,
            "other_table": self.other, "settled_at": self.settled, "gas": self.gas,
            "claims": self.claims, "gas_per_claim": self.mean_claim(),
        })
    }
}

/// All epochs of a swarm, and whether its honest members were paid.
pub struct Settled {
    pub honest: usize,
    pub due: u64,
    pub rows: Vec<EpochRow>,
    pub paid: usize,
}

impl Settled {
    /// A table for people.
    pub fn print(&self) {
        let headings = [
            "epoch",
            "final after s",
            "same table",
            "other table",
            "settled at",
            "gas",
            "claims",
            "gas per claim",
        ];
        let mut table = Table::new(headings);
        self.rows.iter().for_each(|row| table.row(row.cells()));
        print!("{table}");
        println!(
            "{} of {} epochs final, {} of {} honest members paid to the unit",
            self.rows.len(),
            self.due,
            self.paid,
            self.honest
        );
    }

    /// The same for machines.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(EpochRow::json).collect();
        json!({
            "honest": self.honest, "due": self.due, "final": self.rows.len(), "paid": self.paid,
            "epochs": rows,
        })
    }
}
