//! Writes to the CRM: batches with a condition on each change, messages for many new records, and drafts that are
//! published (crm-api.md §9, §11, §13).

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use uuid::Uuid;

use crate::adapters::batch::{self, Batch, Sent, Verdict};
use crate::adapters::client::PostError;
use crate::adapters::dataverse::{API, Dataverse, headers, select};
use crate::adapters::dataverse_batch::{by_position, operation, verdict};
use crate::adapters::dataverse_bulk::{self, Said};
use crate::adapters::dataverse_products;
use crate::adapters::definitions::CrmTable;
use crate::adapters::odata::batch_multipart::{self, Operation, Reply};
use crate::adapters::odata::fault::Fault;
use crate::endpoint::{Endpoint, Outcome, Query, Report, Write};

impl Dataverse {
    /// Writes in batches, and many new records by one message each where the table has it.
    pub(super) fn write_records(&self, table: &CrmTable, batch: &Batch<'_>) -> Report {
        let Batch { info, columns, writes, layout, .. } = *batch;
        let root = self.root();
        let select = select(table, columns);
        let together = |writes: &[Write]| {
            let operations = writes.iter().map(|write| operation(&root, table, &select, write)).collect();
            let batch = Batch { endpoint: self, info, columns, writes, layout };
            let post = |operations: &[Operation]| batch::patiently(&self.client, operations, &|some| self.post(some));
            batch::carry_out(&batch, operations, &post, verdict, |reply| reply.body)
        };
        if !dataverse_bulk::runs(writes).any(dataverse_bulk::suits) || !self.creates_many(table) {
            return together(writes);
        }
        let outcomes = Vec::with_capacity(writes.len());
        let mut report = Report { outcomes, rows: layout.rows().finish(), given: HashMap::new() };
        for run in dataverse_bulk::runs(writes) {
            let created = if dataverse_bulk::suits(run) { self.create_many(table, run) } else { None };
            match created {
                Some(outcomes) => report.outcomes.extend(outcomes),
                // One record spoilt it for all: in a batch, each stands for itself.
                None => {
                    let Report { outcomes, rows, .. } = together(run);
                    report.outcomes.extend(outcomes);
                    report.rows.append(&rows);
                }
            }
        }
        report
    }

    /// Returns the products that a write sets active and that have to be published for it.
    pub(super) fn drafts(&self, table: &CrmTable, batch: &Batch<'_>) -> HashSet<Uuid> {
        let activated = batch.writes.iter().filter(|write| dataverse_products::activates(table, write));
        let activated: Vec<Uuid> = activated.map(|write| write.id).collect();
        if activated.is_empty() {
            return HashSet::new();
        }
        let columns = vec![dataverse_products::STATE.to_owned()];
        let query = Query { info: batch.info, columns, filter: None, ids: Some(activated) };
        // Where that cannot be read, the update is sent as it is, and the service says what is wrong.
        let Ok(states) = self.read(&query, &|_| {}) else { return HashSet::new() };
        let is_draft = |row: &usize| dataverse_products::is_unpublished(&states.value(dataverse_products::STATE, *row));
        (0..states.rows()).filter(is_draft).map(|row| states.id(row)).collect()
    }

    /// Writes what there is besides the state, then publishes the drafts for which that went well.
    pub(super) fn publish(&self, table: &CrmTable, batch: &Batch<'_>, drafts: &HashSet<Uuid>) -> Report {
        let stripped: Vec<Write> = batch
            .writes
            .iter()
            .map(|write| match drafts.contains(&write.id) {
                true => dataverse_products::without_state(write),
                false => write.clone(),
            })
            .collect();
        let mut report = self.write_records(table, &Batch { writes: &stripped, ..*batch });
        let updated: Vec<usize> = (0..batch.writes.len())
            .filter(|at| drafts.contains(&batch.writes[*at].id) && report.outcomes[*at] == Outcome::Written)
            .collect();
        let root = self.root();
        let operation = |at: &usize| dataverse_products::publication(&root, table, &batch.writes[*at]);
        let operations: Vec<Operation> = updated.iter().map(operation).collect();
        if operations.is_empty() {
            return report;
        }
        let told = match self.post(&operations) {
            Sent::Told(told) => told,
            Sent::TurnedAway(answer) => operations.iter().map(|_| Err(Verdict::turned_away(&answer))).collect(),
        };
        for (at, told) in updated.into_iter().zip(told) {
            let verdict = told.map_or_else(|verdict| verdict, |reply| verdict(&batch.writes[at], &reply));
            report.outcomes[at] = dataverse_products::outcome(&stripped[at], verdict);
        }
        // What the update answered is not what the record is now.
        let ids = report.rows.ids();
        let as_is: Vec<usize> = (0..ids.len()).filter(|row| !drafts.contains(&ids[*row])).collect();
        report.rows = report.rows.take(&as_is);
        report
    }

    /// Tells whether many records of a table may be made by one message.
    fn creates_many(&self, table: &CrmTable) -> bool {
        let names = || {
            let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            let mut names: Vec<String> = tables.values().map(|table| table.name.clone()).collect();
            names.sort_unstable();
            names
        };
        self.features.bulk && self.bulk.of(&table.name, &names(), |question| self.answer(question).ok())
    }

    /// Makes many records by one message; `None` where it was refused, so that none of them is there.
    ///
    /// The answer holds no records, so whoever wants to see them reads them.
    fn create_many(&self, table: &CrmTable, writes: &[Write]) -> Option<Vec<Outcome>> {
        let targets: Vec<Result<String, String>> =
            writes.iter().map(|write| dataverse_bulk::target(table, write)).collect();
        let sendable = writes.iter().zip(&targets).filter_map(|(write, target)| Some((write.id, target.clone().ok()?)));
        let (ids, sendable): (Vec<Uuid>, Vec<String>) = sendable.unzip();
        if ids.is_empty() {
            return None;
        }
        let body = dataverse_bulk::body(&sendable);
        let url = format!(
            "{}{API}/{}/Microsoft.Dynamics.CRM.{}",
            self.client.base(),
            table.info.table,
            dataverse_bulk::MESSAGE
        );
        let mut headers = headers();
        headers.push(("Content-Type", "application/json; charset=utf-8".to_owned()));
        let answer = self.client.post(&url, &headers, body.as_bytes());
        match &answer {
            Err(PostError::Overtaxed(_)) => self.portion.too_much(writes.len()),
            Ok(answer) if answer.status == 413 => self.portion.too_much(writes.len()),
            Ok(answer) if answer.is_success() => self.portion.went_well(writes.len()),
            _ => {}
        }
        match dataverse_bulk::said(&ids, &answer) {
            Said::Refused => {
                self.bulk.refused(&table.name);
                None
            }
            Said::All(outcome) => Some(
                targets
                    .into_iter()
                    .map(|target| match target {
                        Ok(_) => outcome.clone(),
                        Err(message) => Outcome::Refused { message },
                    })
                    .collect(),
            ),
        }
    }

    /// Posts the operations as one batch.
    fn post(&self, operations: &[Operation]) -> Sent<Reply> {
        let all = |verdict: Verdict| Sent::Told(vec![Err(verdict); operations.len()]);
        let (url, headers) = self.batch();
        let count = operations.len();
        let answer = match self.client.post(&url, &headers, batch_multipart::build(operations).as_bytes()) {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, PostError::Overtaxed(_)) {
                    self.portion.too_much(count);
                }
                return all(Verdict::unanswered(&error));
            }
        };
        // The batch itself may be turned away with plain JSON; look before splitting.
        match batch_multipart::parse(answer.header("content-type").unwrap_or_default(), &answer.body) {
            Ok(sections) => {
                let replies = by_position(sections, count, answer.is_success());
                let is_overtaxed = |reply: &Reply| Fault::read(reply.status, reply.body.as_bytes()).is_overtaxed();
                match replies.iter().flatten().any(is_overtaxed) {
                    true => self.portion.too_much(count),
                    false => self.portion.went_well(count),
                }
                Sent::Told(replies)
            }
            Err(message) if answer.is_success() => all(Verdict::unknown(message)),
            Err(_) => {
                if answer.status == 413 {
                    self.portion.too_much(count);
                }
                Sent::TurnedAway(answer)
            }
        }
    }
}
