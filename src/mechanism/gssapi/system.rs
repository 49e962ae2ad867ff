// SPDX-License-Identifier: MPL-2.0
//! Security contexts of the system's library, as a rule MIT Kerberos.
//!
//! Tickets, keys and servers are where that library looks for them: `KRB5_CONFIG`, `KRB5CCNAME`,
//! `KRB5_KTNAME`, `KRB5_CLIENT_KTNAME`. Credentials are acquired anew for every connection, for one
//! use only: a client needs a ticket, a server a key. (libzmq asks either for both.)
//!
//! RFC 2743, 2744, 4121.

#![forbid(unsafe_code)]

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error;
use libgssapi::name;
use libgssapi::oid::{GSS_NT_HOSTBASED_SERVICE, GSS_NT_KRB5_PRINCIPAL, GSS_NT_USER_NAME, Oid};

use super::{Context, Step, token};
use crate::abi::{ZMQ_GSSAPI_NT_KRB5_PRINCIPAL, ZMQ_GSSAPI_NT_USER_NAME};

/// Both prove who they are, and nothing is taken twice; as libzmq asks for. Integrity and
/// confidentiality are what Kerberos gives unasked.
const FLAGS: CtxFlags = CtxFlags::GSS_C_MUTUAL_FLAG
    .union(CtxFlags::GSS_C_REPLAY_FLAG)
    .union(CtxFlags::GSS_C_INTEG_FLAG)
    .union(CtxFlags::GSS_C_CONF_FLAG);

/// Who is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    text: Vec<u8>,
    /// `ZMQ_GSSAPI_NT_*`.
    kind: i32,
}

impl Name {
    /// `text` is the value of an option, which may end with a NUL byte.
    pub fn new(text: &[u8], kind: i32) -> Name {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
        Name { text, kind }
    }

    fn import(&self) -> Result<name::Name, Error> {
        name::Name::new(&self.text, Some(self.oid()))
    }

    fn oid(&self) -> Oid<'static> {
        match self.kind {
            ZMQ_GSSAPI_NT_USER_NAME => GSS_NT_USER_NAME,
            ZMQ_GSSAPI_NT_KRB5_PRINCIPAL => GSS_NT_KRB5_PRINCIPAL,
            _ => GSS_NT_HOSTBASED_SERVICE,
        }
    }
}

/// The credentials of a principal; `None` stands for what the library takes by default.
fn credentials(principal: Option<&Name>, usage: CredUsage) -> Result<Option<Cred>, Error> {
    let Some(principal) = principal else { return Ok(None) };
    Cred::acquire(Some(&principal.import()?), None, usage, None).map(Some)
}

/// A context from the client's side.
pub struct Initiator {
    principal: Option<Name>,
    service: Name,
    confidential: bool,
    context: Option<ClientCtx>,
}

impl Initiator {
    /// `confidential`: it is to be one that can seal.
    pub fn new(principal: Option<Name>, service: Name, confidential: bool) -> Initiator {
        Initiator { principal, service, confidential, context: None }
    }

    fn begin(&mut self) -> Result<&mut ClientCtx, Error> {
        let credentials = credentials(self.principal.as_ref(), CredUsage::Initiate)?;
        let context = ClientCtx::new(credentials, self.service.import()?, FLAGS, None);
        Ok(self.context.insert(context))
    }
}

impl Context for Initiator {
    fn step(&mut self, token: &[u8]) -> Option<Step> {
        let mut required = CtxFlags::GSS_C_MUTUAL_FLAG;
        if self.confidential {
            required |= CtxFlags::GSS_C_CONF_FLAG;
        }
        let (context, token) = match self.context {
            Some(ref mut context) => (context, Some(token)),
            None => (self.begin().ok()?, None),
        };
        let token = context.step(token, None).ok()?;
        outcome(context, token.as_deref(), required)
    }

    fn peer_name(&self) -> Option<Vec<u8>> {
        None
    }

    fn wrap(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        wrap(self.context.as_mut()?, text)
    }

    fn unwrap(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        unwrap(self.context.as_mut()?, sealed)
    }
}

/// A context from the server's side.
pub struct Acceptor {
    principal: Option<Name>,
    confidential: bool,
    context: Option<ServerCtx>,
}

impl Acceptor {
    /// `confidential`: it is to be one that can seal.
    pub fn new(principal: Option<Name>, confidential: bool) -> Acceptor {
        Acceptor { principal, confidential, context: None }
    }

    fn begin(&mut self) -> Result<&mut ServerCtx, Error> {
        let credentials = credentials(self.principal.as_ref(), CredUsage::Accept)?;
        Ok(self.context.insert(ServerCtx::new(credentials)))
    }
}

impl Context for Acceptor {
    fn step(&mut self, token: &[u8]) -> Option<Step> {
        let required = match self.confidential {
            true => CtxFlags::GSS_C_CONF_FLAG,
            false => CtxFlags::empty(),
        };
        let context = match self.context {
            Some(ref mut context) => context,
            None => self.begin().ok()?,
        };
        let token = context.step(token, None).ok()?;
        outcome(context, token.as_deref(), required)
    }

    fn peer_name(&self) -> Option<Vec<u8>> {
        let name = self.context.as_ref()?.source_name().ok()?;
        Some(name.display_name().ok()?.to_vec())
    }

    fn wrap(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        wrap(self.context.as_mut()?, text)
    }

    fn unwrap(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        unwrap(self.context.as_mut()?, sealed)
    }
}

/// `None`: the context is established, and not what it has to be.
fn outcome(
    context: &impl SecurityContext,
    token: Option<&[u8]>,
    required: CtxFlags,
) -> Option<Step> {
    let complete = context.is_complete();
    if complete && !context.flags().ok()?.contains(required) {
        return None;
    }
    Some(Step { token: token.unwrap_or_default().to_vec(), complete })
}

/// To seal is asked for; what comes of it may be signed alone all the same (RFC 2743, 2.3.3).
fn wrap(context: &mut impl SecurityContext, text: &[u8]) -> Option<Vec<u8>> {
    let sealed = context.wrap(true, text).ok()?;
    token::is_sealed(&sealed).then(|| sealed.to_vec())
}

fn unwrap(context: &mut impl SecurityContext, sealed: &[u8]) -> Option<Vec<u8>> {
    if !token::is_sealed(sealed) {
        return None;
    }
    context.unwrap(sealed).ok().map(|text| text.to_vec())
}
