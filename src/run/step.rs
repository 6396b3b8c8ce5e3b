//! What one step of a pass works with, and why a pass ends early.

use crate::config::{Side, TableMap};
use crate::endpoint::EndpointError;
use crate::extract::Scope;
use crate::frame::evaluated::EvaluationError;
use crate::order::Pass;
use crate::run::context::Context;
use crate::run::kept::Forms;
use crate::store::StoreError;
use crate::translate::links::Links;

/// What one step of a pass works with.
pub(super) struct Step<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) map: &'a TableMap,
    pub(super) scope: &'a Scope,
    pub(super) links: &'a Links,
    /// Fields that wait for the other step.
    pub(super) left_out: Vec<bool>,
}

impl Step<'_> {
    /// Returns the forms in which a side may keep what it is sent.
    pub(super) fn forms(&self, side: Side) -> Forms {
        Forms::of(*self.context.endpoints.of(side))
    }
}

/// What a pass works with while it still learns who belongs to whom, before that is a step.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) map: &'a TableMap,
    pub(super) scope: &'a Scope,
    pub(super) pass: &'a Pass,
}

impl<'a> Turn<'a> {
    /// Returns the first step of the pass, in which deferred fields are left out.
    pub(super) fn step(&self, links: &'a Links) -> Step<'a> {
        let Turn { context, map, scope, pass } = *self;
        Step { context, map, scope, links, left_out: pass.deferred.clone() }
    }
}

/// Why a pass could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Expression(#[from] EvaluationError),
    /// A table map that this one needs has failed.
    #[error("{0}")]
    Waits(String),
}
