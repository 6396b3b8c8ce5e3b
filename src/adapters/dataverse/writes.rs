//! Writes to the CRM: batches with a condition on each change, messages for many new records, records that are made in
//! another state than the first, and drafts that are published (crm-api.md §9, §11, §13).

use std::collections::{HashMap, HashSet};
use std::slice;
use std::sync::PoisonError;

use uuid::Uuid;

use crate::adapters::batch::{self, Batch, Sent};
use crate::adapters::client::{ACT_AS, PostError, is_nobody};
use crate::adapters::dataverse::bulk::{self, RECORDS_MIN, Said};
use crate::adapters::dataverse::keys::{self, AlternateKey};
use crate::adapters::dataverse::privileges::STAND_IN;
use crate::adapters::dataverse::products;
use crate::adapters::dataverse::requests::{by_position, question, verdict};
use crate::adapters::dataverse::states::{self, STATE};
use crate::adapters::dataverse::{API, BATCH_MAX, Dataverse, headers, select};
use crate::adapters::definitions::{self, CrmTable};
use crate::adapters::odata::batch_multipart::{self, Part, Reply};
use crate::adapters::odata::fault::Fault;
use crate::adapters::verdict::Verdict;
use crate::config::Bypass;
use crate::endpoint::{Endpoint, Outcome, Query, Report, Write, WriteKind};

/// Refusals of one call for which the record is looked for that has the key.
const HOLDERS_MAX: usize = 50;

impl Dataverse {
    /// Writes in batches, and many new records by one message each where the table has it.
    pub(super) fn write_records(&self, table: &CrmTable, batch: &Batch<'_>) -> Report {
        let Batch { info, columns, writes, layout, .. } = *batch;
        let root = self.root();
        let select = select(table, columns);
        let is_staged = |write: &Write| states::is_staged(table, write);
        let question =
            Part::Single(question(format!("{root}/{}?$select={}&$top=1", info.table, table.key), &headers()));
        let together = |writes: &[Write]| {
            let parts = writes.iter().map(|write| states::part(&root, table, &select, write)).collect();
            let batch = Batch { endpoint: self, info, columns, writes, layout, closed: &self.closed };
            let post = |parts: &[Part]| batch::patiently(&self.client, parts, &|some| self.post(some));
            let verdict = |write: &Write, reply: &Reply| verdict(slice::from_ref(&table.key), write, reply);
            batch::carry_out(&batch, parts, &question, &post, verdict, |reply| reply.body)
        };
        // What takes two operations each must not be more than a batch holds.
        let together = |writes: &[Write]| {
            let writes_max = if writes.iter().any(is_staged) { BATCH_MAX / 2 } else { BATCH_MAX };
            let outcomes = Vec::with_capacity(writes.len());
            let mut report = Report { outcomes, rows: layout.rows().finish(), given: HashMap::new() };
            for some in writes.chunks(writes_max) {
                let Report { outcomes, rows, .. } = together(some);
                report.outcomes.extend(outcomes);
                report.rows.append(&rows);
            }
            report
        };
        let is_single = |write: &Write| write.kind == WriteKind::Insert && !is_staged(write);
        if writes.iter().filter(|write| is_single(write)).count() < RECORDS_MIN || !self.creates_many(table) {
            return together(writes);
        }
        let outcomes = Vec::with_capacity(writes.len());
        let mut report = Report { outcomes, rows: layout.rows().finish(), given: HashMap::new() };
        for run in bulk::runs(writes) {
            // A message makes records in their first state only; none of a run needs another one of it.
            let (single, staged): (Vec<&Write>, Vec<&Write>) = run.iter().partition(|write| is_single(write));
            let single: Vec<Write> = single.into_iter().cloned().collect();
            let created = if bulk::suits(&single) { self.create_many(table, &single) } else { None };
            let Some(created) = created else {
                // One record spoilt it for all: in a batch, each stands for itself.
                let Report { outcomes, rows, .. } = together(run);
                report.outcomes.extend(outcomes);
                report.rows.append(&rows);
                continue;
            };
            let Report { outcomes, rows, .. } = together(&staged.into_iter().cloned().collect::<Vec<_>>());
            let (mut created, mut outcomes) = (created.into_iter(), outcomes.into_iter());
            let outcome = |write| if is_single(write) { created.next() } else { outcomes.next() };
            report.outcomes.extend(run.iter().filter_map(outcome));
            report.rows.append(&rows);
        }
        report
    }

    /// Writes to a table that takes no version as a condition (0x8006088d): what it holds is looked at just before, and
    /// what somebody has edited since it was read is not written. Between that look and the write nothing protects an edit.
    pub(super) fn write_unversioned(&self, batch: &Batch<'_>) -> Report {
        let Batch { info, columns, writes, layout, .. } = *batch;
        let known: Vec<Uuid> = writes.iter().filter(|write| write.etag.is_some()).map(|write| write.id).collect();
        let query = Query { info, columns: Vec::new(), filter: None, ids: Some(known) };
        let now: HashMap<Uuid, Option<String>> = match self.read(&query, &|_| {}) {
            Ok(frame) => (0..frame.rows()).map(|row| (frame.id(row), frame.etag(row))).collect(),
            Err(error) => return batch::unsendable(info, columns, writes, &error),
        };
        // One that does not come at all is for the service to call gone.
        let is_stale =
            |write: &Write| write.etag.is_some() && now.get(&write.id).is_some_and(|etag| *etag != write.etag);
        let sent = writes.iter().filter(|write| !is_stale(write)).map(|write| Write { etag: None, ..write.clone() });
        let sent: Vec<Write> = sent.collect();
        let Report { outcomes, rows, .. } = match sent.is_empty() {
            true => Report { outcomes: Vec::new(), rows: layout.rows().finish(), given: HashMap::new() },
            false => self.write(info, columns, &sent),
        };
        let mut outcomes = outcomes.into_iter();
        let outcome = |write| if is_stale(write) { Some(Outcome::Stale) } else { outcomes.next() };
        Report { outcomes: writes.iter().filter_map(outcome).collect(), rows, given: HashMap::new() }
    }

    /// Returns the products that a write sets active and that have to be published for it.
    pub(super) fn drafts(&self, table: &CrmTable, batch: &Batch<'_>) -> HashSet<Uuid> {
        let activated = batch.writes.iter().filter(|write| products::activates(table, write));
        let activated: Vec<Uuid> = activated.map(|write| write.id).collect();
        if activated.is_empty() {
            return HashSet::new();
        }
        let columns = vec![STATE.to_owned()];
        let query = Query { info: batch.info, columns, filter: None, ids: Some(activated) };
        // Where that cannot be read, the update is sent as it is, and the service says what is wrong.
        let Ok(states) = self.read(&query, &|_| {}) else { return HashSet::new() };
        let is_draft = |row: &usize| products::is_unpublished(&states.value(STATE, *row));
        (0..states.rows()).filter(is_draft).map(|row| states.id(row)).collect()
    }

    /// Writes what there is besides the state, then publishes the drafts for which that went well.
    pub(super) fn publish(&self, table: &CrmTable, batch: &Batch<'_>, drafts: &HashSet<Uuid>) -> Report {
        let stripped: Vec<Write> = batch
            .writes
            .iter()
            .map(|write| match drafts.contains(&write.id) {
                true => products::without_state(write),
                false => write.clone(),
            })
            .collect();
        let mut report = self.write_records(table, &Batch { writes: &stripped, ..*batch });
        let updated: Vec<usize> = (0..batch.writes.len())
            .filter(|at| drafts.contains(&batch.writes[*at].id) && report.outcomes[*at] == Outcome::Written)
            .collect();
        let root = self.root();
        let operation = |at: &usize| Part::Single(products::publication(&root, table, &batch.writes[*at]));
        let operations: Vec<Part> = updated.iter().map(operation).collect();
        if operations.is_empty() {
            return report;
        }
        let told = match self.post(&operations) {
            Sent::Told(told) => told,
            Sent::TurnedAway(answer) => operations.iter().map(|_| Err(Verdict::turned_away(&answer))).collect(),
        };
        for (at, told) in updated.into_iter().zip(told) {
            let verdict = told.map_or_else(|verdict| verdict, |reply| verdict(&[], &batch.writes[at], &reply));
            report.outcomes[at] = products::outcome(&stripped[at], verdict);
        }
        // What the update answered is not what the record is now.
        let ids = report.rows.ids();
        let as_is: Vec<usize> = (0..ids.len()).filter(|row| !drafts.contains(&ids[*row])).collect();
        report.rows = report.rows.take(&as_is);
        report
    }

    /// Names, in refusals for an alternate key that is taken, the record that has it, as far as that can be found.
    pub(super) fn name_holders(&self, table: &CrmTable, writes: &[Write], outcomes: &mut [Outcome]) {
        let taken = |outcome: &Outcome| matches!(outcome, Outcome::Refused { message } if keys::is_taken(message));
        let refused: Vec<usize> = (0..outcomes.len()).filter(|at| taken(&outcomes[*at])).take(HOLDERS_MAX).collect();
        if refused.is_empty() {
            return;
        }
        let keys = self.answer(&keys::question(table)).ok().and_then(|json| definitions::list(&json).ok());
        let keys: Vec<AlternateKey> = keys.unwrap_or_default();
        let asked = refused.iter().flat_map(|at| {
            let holder = |key| keys::holder(table, key, &writes[*at]).map(|(what, asked)| (*at, what, asked));
            keys.iter().filter_map(holder)
        });
        let asked: Vec<(usize, String, String)> = asked.collect();
        let questions: Vec<String> = asked.iter().map(|(.., question)| question.clone()).collect();
        // The refusal stands with or without it.
        let Ok(answers) = (if questions.is_empty() { Ok(Vec::new()) } else { self.answers(&questions) }) else {
            return;
        };
        for ((at, what, _), answer) in asked.iter().zip(answers) {
            if let (Some(id), Outcome::Refused { message }) =
                (keys::held_by(table, &writes[*at], &answer), &mut outcomes[*at])
            {
                message.push_str(&format!("; {id} has {what}"));
            }
        }
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
        let targets: Vec<Result<String, String>> = writes.iter().map(|write| bulk::target(table, write)).collect();
        let sendable = writes.iter().zip(&targets).filter_map(|(write, target)| Some((write.id, target.clone().ok()?)));
        let (ids, sendable): (Vec<Uuid>, Vec<String>) = sendable.unzip();
        if ids.is_empty() {
            return None;
        }
        let body = bulk::body(&sendable);
        let url = format!("{}{API}/{}/Microsoft.Dynamics.CRM.{}", self.client.base(), table.info.table, bulk::MESSAGE);
        let mut headers = headers();
        headers.push(("Content-Type", "application/json; charset=utf-8".to_owned()));
        headers.extend(self.write_headers());
        let answer = self.client.post(&url, &headers, body.as_bytes());
        match &answer {
            Err(PostError::Overtaxed(_)) => self.batch_size.too_much(writes.len()),
            Ok(answer) if answer.status == 413 => self.batch_size.too_large(writes.len()),
            Ok(answer) if answer.is_success() => self.batch_size.went_well(writes.len()),
            _ => {}
        }
        match bulk::said(&ids, &answer) {
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

    /// Returns the headers of everything that writes: in whose name, and past which logic of the organization. Those of a
    /// batch do not count for what is in it (crm-api.md §3, §11).
    pub(super) fn write_headers(&self) -> Vec<(&'static str, String)> {
        let Bypass { sync, asynchronous, flows } = self.features.bypass;
        let logic: Vec<&str> = [(sync, "CustomSync"), (asynchronous, "CustomAsync")]
            .into_iter()
            .filter_map(|(bypassed, name)| bypassed.then_some(name))
            .collect();
        let logic = (!logic.is_empty()).then(|| ("MSCRM.BypassBusinessLogicExecution", logic.join(",")));
        let flows = flows.then(|| ("MSCRM.SuppressCallbackRegistrationExpanderJob", "true".to_owned()));
        let name = self.act_as.map(|id| (ACT_AS, id.to_string()));
        [name, logic, flows].into_iter().flatten().collect()
    }

    /// Passes a reply on, unless it says that nobody may write in the name that is written in: that is no matter of the
    /// record. The same is said of a record whose new owner is no user any more, so the name itself is asked for.
    fn let_in(&self, reply: Result<Reply, Verdict>) -> Result<Reply, Verdict> {
        let reply = reply?;
        let fault = Fault::read(reply.status, reply.body.as_bytes());
        let is_name_refused = || self.named().is_some_and(|name| name.is_err());
        let may_not = fault.status == 403 && fault.message.contains(STAND_IN);
        if self.act_as.is_some() && (may_not || (is_nobody(&fault) && is_name_refused())) {
            return Err(Verdict::not_sent(self.cannot_stand_in(&fault.to_string())));
        }
        Ok(reply)
    }

    /// Posts the parts as one batch.
    fn post(&self, parts: &[Part]) -> Sent<Reply> {
        let all = |verdict: Verdict| Sent::Told(vec![Err(verdict); parts.len()]);
        let (url, headers) = self.batch();
        let sizes: Vec<usize> = parts.iter().map(Part::operations).collect();
        let count = parts.len();
        let answer = match self.client.post(
            &url,
            &headers,
            batch_multipart::build_parts(parts, &self.write_headers()).as_bytes(),
        ) {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, PostError::Overtaxed(_)) {
                    self.batch_size.too_much(count);
                }
                return all(Verdict::unanswered(&error));
            }
        };
        // The batch itself may be turned away with plain JSON; look before splitting.
        match batch_multipart::parse(answer.header("content-type").unwrap_or_default(), &answer.body) {
            Ok(sections) => {
                let replies = by_position(sections, &sizes, answer.is_success());
                let is_overtaxed = |reply: &Reply| Fault::read(reply.status, reply.body.as_bytes()).is_overtaxed();
                match replies.iter().flatten().any(is_overtaxed) {
                    true => self.batch_size.too_much(count),
                    false => self.batch_size.went_well(count),
                }
                Sent::Told(replies.into_iter().map(|reply| self.let_in(reply)).collect())
            }
            Err(message) if answer.is_success() => all(Verdict::unknown(message)),
            Err(_) => {
                if answer.status == 413 {
                    self.batch_size.too_large(count);
                }
                Sent::TurnedAway(answer)
            }
        }
    }
}
