//! Made-up runs, plans and states for the tests of this room.
//!
//! Small, but with every kind of row: both directions, new couplings, trouble, long and awkward values.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::binding::Binding;
use crate::config::complaint::{Complaint, Severity};
use crate::config::{PerSide, Side};
use crate::endpoint::{Identity, Traffic};
use crate::frame::Value;
use crate::plan::{
    Action, ActionKind, Drifted, FieldChange, FollowUp, Later, Plan, TablePlan, fingerprint, placeholder,
};
use crate::report::answers::Answered;
use crate::report::notes::Notes;
use crate::report::saved::{AskedFor, Saved};
use crate::report::status::Status;
use crate::run::account::{Counts, RunOutcome, RunReport, Seconds, TableReport};
use crate::store::{Background, Decided, Decision, InboxItem, InboxKind, Origin, RunRow, Watermark};

const RUN: &str = "6f1c2b9e-8f0d-4c43-9c55-0c6a1c2d3e4f";
const STARTED: &str = "2026-01-31T02:00:00Z";

/// A first run that went well.
pub fn run() -> RunReport {
    let salespeople = TableReport {
        table: "salespeople".into(),
        rows: PerSide { erp: 11, crm: 14 },
        first: true,
        coupled: 12,
        to: PerSide {
            erp: Counts { inserted: 1, modified: 2, unchanged: 9, skipped: 2, ..Counts::default() },
            crm: Counts::default(),
        },
        new_couplings: 12,
        matched: vec![(1, 11)],
        seconds: Seconds { extract: 0.2, merge: 0.01, apply: 0.125, verify: 0.05 },
        notes: vec!["2 records of the CRM have no e-mail address and were left alone".into()],
        ..TableReport::default()
    };
    let customers = TableReport {
        table: "customers".into(),
        rows: PerSide { erp: 12_605, crm: 11_405 },
        coupled: 12_607,
        to: PerSide {
            erp: Counts { inserted: 2, modified: 1200, unchanged: 11_405, ..Counts::default() },
            crm: Counts { inserted: 2, unchanged: 12_605, ..Counts::default() },
        },
        new_couplings: 1195,
        uncoupled: 3,
        matched: vec![(1, 1190), (2, 1)],
        seconds: Seconds { extract: 1.5, merge: 0.0304, apply: 2.0, verify: 0.25 },
        ..TableReport::default()
    };
    RunReport {
        pipeline: "full".into(),
        binding: binding(),
        run: RUN.into(),
        outcome: RunOutcome::Converged,
        started: STARTED.into(),
        seconds: 5.062_49,
        tables: vec![salespeople, customers],
        lost: None,
        requests: PerSide {
            erp: Traffic { sent: 1042, retried: 3, waited_seconds: 2.25 },
            crm: Traffic { sent: 17, ..Traffic::default() },
        },
        inbox: Vec::new(),
        notes: Vec::new(),
        plan: plan(),
        names: BTreeMap::new(),
        dry_run: false,
        carried: None,
    }
}

/// To what the state of the runs belongs.
pub fn binding() -> Binding {
    Binding {
        pipeline: "full".into(),
        sides: PerSide {
            erp: Identity { id: Uuid::from_u128(0xe), name: "CRONUS International Ltd.".into() },
            crm: Identity { id: Uuid::from_u128(0xc), name: "cronus.crm4.dynamics.com".into() },
        },
    }
}

/// A table map that its guard stopped.
pub fn guarded() -> TableReport {
    let why = "1200 records would be created, and `guard.create` allows 1000; nothing of it was written: `pipeline show \
               state/full.db.guarded.plan` shows them; if they are meant, `pipeline apply state/full.db.guarded.plan` \
               carries out just that, or raise `tables.customers.guard.create` and run again";
    TableReport {
        table: "customers".into(),
        rows: PerSide { erp: 12_605, crm: 11_405 },
        coupled: 11_400,
        guarded: Some(why.into()),
        ..TableReport::default()
    }
}

/// What `plan` says before a run.
pub fn planned() -> RunReport {
    let inbox = plan().tables.remove(1).held;
    RunReport { inbox, outcome: RunOutcome::Incomplete, dry_run: true, ..run() }
}

/// That plan as it is saved.
pub fn saved() -> Saved {
    let report = planned();
    let notes = Notes::of(&report);
    let columns = |erp: &str, crm: &str| PerSide { erp: Some(erp.into()), crm: Some(crm.into()) };
    let mut plan = report.plan;
    let changes = plan.tables[1].actions.iter_mut().flat_map(|action| &mut action.fields);
    changes.filter(|change| change.column == "creditLimit").for_each(|change| change.field = Some(1));
    let none = ("currencies".to_owned(), Vec::new());
    let customers = vec![columns("displayName", "name"), columns("creditLimit", "creditlimit")];
    Saved {
        program: "pipeline 0.1.0".into(),
        file: "/etc/pipeline/full.yaml".into(),
        fingerprint: fingerprint("version: 1"),
        state: "/var/lib/pipeline/full.db".into(),
        binding: report.binding,
        asked: AskedFor { only: vec!["currencies".into(), "customers".into()], ..AskedFor::default() },
        moment: report.started,
        plan,
        inbox: report.inbox,
        unfinished: Vec::new(),
        notes,
        names: BTreeMap::from([(Uuid::from_u128(5), "salespeople:JR".into())]),
        columns: BTreeMap::from([none, ("customers".to_owned(), customers)]),
    }
}

/// A run that found both sides equal.
pub fn quiet_run() -> RunReport {
    let mut report = run();
    for table in &mut report.tables {
        table.to = PerSide::default();
        table.new_couplings = 0;
        table.uncoupled = 0;
        table.matched.clear();
    }
    report
}

/// A run after which people have something to do.
pub fn run_with_trouble() -> RunReport {
    let mut report = run();
    report.outcome = RunOutcome::Incomplete;
    report.tables[1].to.crm.failed = 1;
    report.tables[1].contested = 1;
    report.tables.push(TableReport {
        table: "items".into(),
        error: Some("CRM cannot be reached: timed out after 5 attempts".into()),
        ..TableReport::default()
    });
    report.inbox = inbox();
    report
}

/// A value and a constant that somebody changed on the side that does not own them.
pub fn drifted() -> Vec<Drifted> {
    let drifted = |record: &str, side, column: &str, owned: &str, held: &str| Drifted {
        record: record.into(),
        ids: PerSide { erp: Uuid::from_u128(1), crm: Uuid::from_u128(2) },
        field: 0,
        side,
        column: column.into(),
        owned: owned.into(),
        held: held.into(),
    };
    vec![
        drifted("customers:10000", Side::Crm, "creditlimit", "20000", ""),
        drifted("customers:20000", Side::Erp, "type", "Person", "Company"),
    ]
}

/// One item of each kind and two fields of one record.
pub fn inbox() -> Vec<InboxItem> {
    let item = |record: &str, kind, field: Option<&str>, message: &str| InboxItem {
        table: "customers".into(),
        record: record.into(),
        kind,
        erp_id: Some(Uuid::from_u128(1)),
        crm_id: Some(Uuid::from_u128(2)),
        field: field.map(str::to_owned),
        base: None,
        erp: None,
        crm: None,
        message: message.into(),
        outstanding: None,
        since: STARTED.into(),
        attempts: 2,
        background: Background::default(),
    };
    let values = |item: InboxItem, base: &str, erp: &str, crm: &str| InboxItem {
        base: Some(base.into()),
        erp: Some(erp.into()),
        crm: Some(crm.into()),
        ..item
    };
    vec![
        item("20000", InboxKind::Failed, Some("salespersonCode"), "salesperson `JR` has no user in the CRM"),
        values(
            item("10000", InboxKind::Contested, Some("phoneNumber"), "both sides changed it"),
            "0301 100",
            "0301 200",
            "",
        ),
        InboxItem {
            background: Background {
                crm_record: None,
                modified: PerSide {
                    erp: Some("2026-01-30T09:12:07.31Z".into()),
                    crm: Some("2026-01-30T15:40:00Z".into()),
                },
                crm_modified_by: Some("Ida Sørli".into()),
                unreadable: false,
            },
            ..values(
                item("10000", InboxKind::Contested, Some("creditLimit"), "both sides changed it"),
                "1000",
                "1500",
                "900",
            )
        },
        item("A-1001", InboxKind::Ambiguous, None, "2 records of the ERP have this number: 10000 and 30000"),
    ]
}

/// A plan with every kind of action.
pub fn plan() -> Plan {
    let action = |record: &str, side, kind, why: &str, fields| Action {
        table: "customers".into(),
        record: record.into(),
        side,
        kind,
        why: why.into(),
        ids: PerSide { erp: Uuid::from_u128(1), crm: Uuid::from_u128(2) },
        etag: None,
        fields,
        follow_ups: Vec::new(),
    };
    let change = |column: &str, old, new, why: &str| FieldChange {
        column: column.into(),
        field: Some(0),
        old,
        new,
        why: why.into(),
    };
    let text = |text: &str| Value::Text(text.into());
    let follow_up = |from: &str, to: &str| FollowUp { field: 1, from: from.into(), to: to.into() };
    let customers = TablePlan {
        drifted: Vec::new(),
        table: "customers".into(),
        actions: vec![
            action("10000", Side::Erp, ActionKind::Couple { origin: Origin::Matched(1) }, "match rule 1", vec![]),
            action(
                "40000",
                Side::Crm,
                ActionKind::Insert,
                "only in the ERP",
                vec![
                    change("name", Value::Null, text("Deerfield \"Graphics\""), ""),
                    change("customertypecode", Value::Null, Value::Integer(3), "constant"),
                ],
            ),
            action(
                "50000",
                Side::Erp,
                ActionKind::Update,
                "",
                vec![
                    change("phoneNumber", text("0301 100"), Value::Null, "only the CRM changed"),
                    change(
                        "creditLimit",
                        Value::Decimal("1000.0000".parse().unwrap()),
                        Value::Decimal("20000.05".parse().unwrap()),
                        "the CRM owns it",
                    ),
                ],
            ),
            Action {
                follow_ups: vec![follow_up("number", "accountnumber"), follow_up("creditLimit", "creditlimit")],
                ..action(
                    "crm:A-1002",
                    Side::Erp,
                    ActionKind::Insert,
                    "only the CRM has it",
                    vec![
                        change("displayName", Value::Null, text("Hollow Oak"), "new"),
                        change("parent", Value::Null, text(&placeholder(Uuid::from_u128(1))), "new"),
                    ],
                )
            },
            action("60000", Side::Erp, ActionKind::Uncouple, "gone on both sides", vec![]),
            Action {
                ids: PerSide { erp: Uuid::from_u128(7 << 88), crm: Uuid::from_u128(107) },
                ..action(
                    "70000",
                    Side::Erp,
                    ActionKind::Restore { gone: Uuid::from_u128(9) },
                    "deleted in the ERP, made anew from the CRM",
                    vec![change("displayName", Value::Null, text("Eide"), "new")],
                )
            },
            action(
                "A-1002",
                Side::Crm,
                ActionKind::Delete,
                "deleted in the ERP, and not edited in the CRM since",
                vec![],
            ),
            action("80000", Side::Erp, ActionKind::KeepApart, "deleted in the CRM; kept apart", vec![]),
        ],
        guarded: None,
        held: inbox()
            .into_iter()
            .map(|item| InboxItem { since: String::new(), attempts: 0, background: Background::default(), ..item })
            .collect(),
        later: vec![Later {
            record: "70000".into(),
            ids: PerSide { erp: Some(Uuid::from_u128(7)), crm: None },
            message:
                "salespersonCode: salespeople:JR is not coupled yet: it waits itself for what this run creates first"
                    .into(),
        }],
    };
    Plan {
        pipeline: "full".into(),
        tables: vec![TablePlan { table: "currencies".into(), ..TablePlan::default() }, customers],
    }
}

/// Complaints of both severities, with and without hint and path.
pub fn complaints() -> Vec<Complaint> {
    let complaint = |severity, line, path: &str, message: &str, hint: Option<&str>| Complaint {
        severity,
        file: "full.yaml".into(),
        line,
        column: 9,
        path: path.into(),
        message: message.into(),
        hint: hint.map(str::to_owned),
    };
    vec![
        complaint(
            Severity::Error,
            14,
            "tables.customers.fields[3].crm",
            "no field `adress1_city` on accounts",
            Some("did you mean `address1_city`?"),
        ),
        complaint(
            Severity::Warning,
            6,
            "connections.erp.url",
            "the variable `ERP_URL` is not set",
            Some("set it before a run"),
        ),
        complaint(Severity::Error, 1, "", "`version` is missing", None),
    ]
}

/// What somebody decided about the first contested field.
pub fn decision() -> Decision {
    let item = inbox().remove(1);
    Decision {
        table: item.table,
        record: item.record,
        ids: PerSide { erp: item.erp_id.unwrap_or_default(), crm: item.crm_id.unwrap_or_default() },
        field: item.field.map(|field| format!("{field}=theirs")),
        verdict: Decided::Take(Side::Crm),
        values: PerSide { erp: item.erp.unwrap_or_default(), crm: item.crm.unwrap_or_default() },
        seen: None,
        at: "2026-02-01T09:30:00Z".into(),
        unmet: None,
        ended: None,
    }
}

/// A state after three runs, one of them cut off.
pub fn status() -> Status {
    let hidden = || {
        "1 coupled record is in no list of the ERP, which cannot be asked for it by its key (customers A/B); nothing is \
         concluded from that"
            .to_owned()
    };
    let time = |text: &str| text.parse().ok();
    let watermark = || Watermark {
        fingerprint: String::new(),
        read_to: PerSide { erp: time("2026-02-01T01:59:12.480Z"), crm: time("2026-02-01T02:00:03Z") },
        ..Watermark::default()
    };
    let row = |run: &str, started: &str, outcome: &str, report: String| RunRow {
        run: run.into(),
        started: started.into(),
        finished: Some(started.into()).filter(|_| !outcome.is_empty()),
        outcome: outcome.into(),
        report,
    };
    Status {
        pipeline: "full".into(),
        state: "state/full.db".into(),
        exists: true,
        stopped: BTreeMap::new(),
        binding: Some(binding()),
        notes: vec!["the state holds 12 couplings of `clients`, and the file has no such table map".into()],
        held_by: Some("night pid 4711 since 2026-02-02T02:00:00Z".into()),
        tables: vec![("salespeople".into(), 12), ("customers".into(), 12_607)],
        watermarks: [("customers".into(), watermark())].into(),
        inbox: inbox(),
        answered: Answered { decisions: vec![decision()], unmet: Vec::new(), retried: Vec::new() },
        apart: [("customers".into(), 2)].into(),
        hidden: [("customers".into(), vec![hidden()])].into(),
        runs: vec![
            row("0c6a", "2026-02-02T02:00:00Z", "", String::new()),
            row("1d7b", "2026-02-01T02:00:00Z", "incomplete", crate::report::run::json(&run_with_trouble())),
            row("2e8c", STARTED, "converged", crate::report::run::json(&run())),
        ],
    }
}
