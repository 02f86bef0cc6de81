//! `/v1/enrol` and `/v1/renew`: certificates for hosts.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use change::wire::{EnrolBody, EnrolledBody, RenewBody, Token};

use super::{ApiState, Error, Peer, blocking, now};
use crate::authority::Issued;
use crate::store::{Applicant, Certificate};
use crate::token_hash;

/// A machine id is no longer than this: it is the name in a certificate.
const LONGEST_MACHINE: usize = 64;
/// A host name is no longer than this: hostname(7).
const LONGEST_HOSTNAME: usize = 253;

/// Gives a host that has a token its first certificate. The token is looked at before a certificate is made,
/// and used in the moment in which the certificate is kept.
pub(super) async fn enrol(
    State(state): State<ApiState>,
    body: Result<Json<EnrolBody>, JsonRejection>,
) -> Result<Json<EnrolledBody>, Error> {
    let Json(body) = body?;
    let EnrolBody {
        token,
        machine,
        hostname,
        request,
    } = body;
    let token: Token = token
        .parse()
        .map_err(|error| Error::BadRequest(format!("read token: {error}")))?;
    check_names(&machine, &hostname)?;
    let hash = token_hash(&token);
    let applicant = Applicant {
        name: machine,
        hostname,
    };
    let asked = applicant.clone();
    state
        .enrolment(move |enrolment| enrolment.check(&hash, &asked, now()).map(drop))
        .await?;
    let issued = issue(&state, request, applicant.name.clone()).await?;
    let (asked, certificate) = (applicant.clone(), certificate(&issued));
    state
        .enrolment(move |enrolment| enrolment.enrol(&hash, &asked, certificate, now()))
        .await?;
    let Applicant { name, hostname } = applicant;
    tracing::info!(host = %name, %hostname, "enrolled");
    Ok(Json(body_of(&state, &name, issued)))
}

/// Gives an enrolled host its next certificate.
pub(super) async fn renew(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<RenewBody>, JsonRejection>,
) -> Result<Json<EnrolledBody>, Error> {
    let member = state.member(peer).await?;
    let Json(RenewBody { request }) = body?;
    let issued = issue(&state, request, member.name.clone()).await?;
    let (name, certificate) = (member.name.clone(), certificate(&issued));
    state
        .enrolment(move |enrolment| enrolment.renew(&name, certificate, now()))
        .await?;
    Ok(Json(body_of(&state, &member.name, issued)))
}

async fn issue(state: &ApiState, request: String, name: String) -> Result<Issued, Error> {
    let (authority, lifetime) = (Arc::clone(&state.authority), state.certificate_lifetime);
    Ok(blocking(move || authority.issue(&request, &name, lifetime, now())).await??)
}

fn certificate(issued: &Issued) -> Certificate {
    Certificate {
        fingerprint: issued.fingerprint,
        issued: issued.issued,
        expires: issued.expires,
    }
}

fn body_of(state: &ApiState, name: &str, issued: Issued) -> EnrolledBody {
    let Issued {
        pem,
        fingerprint: _,
        issued,
        expires,
    } = issued;
    EnrolledBody {
        host: name.to_owned(),
        certificate: pem,
        authority: state.authority.pem().to_owned(),
        countersigns_by: state.authority.countersigns_by(),
        issued,
        expires,
    }
}

fn check_names(machine: &str, hostname: &str) -> Result<(), Error> {
    let in_machine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if machine.is_empty() || machine.len() > LONGEST_MACHINE || !machine.bytes().all(in_machine) {
        return Err(Error::BadRequest(format!(
            "a machine id has 1 to {LONGEST_MACHINE} letters, digits, `-`, `_` and `.`"
        )));
    }
    let is_plain = !hostname.chars().any(char::is_control);
    if hostname.is_empty() || hostname.len() > LONGEST_HOSTNAME || !is_plain {
        return Err(Error::BadRequest(format!(
            "a host name has 1 to {LONGEST_HOSTNAME} bytes, and no control characters"
        )));
    }
    Ok(())
}
