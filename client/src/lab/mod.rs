//! Certificates of a lab: a CA, the certificate of a server, and those of who calls it. They are
//! made where mosctl runs, so that the key of the CA need never lie where mosd does.
//!
//! Beside them lie a configuration of mosd and a roles file that name them.

mod show;

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use x509_cert::{Certificate, certificate::Rfc5280, crl::CertificateList, der::DecodePem as _};

pub(crate) use self::show::{Shown, show};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a CA and its revocation list, and a server, are good.
const CA_SPAN: Duration = DAY.saturating_mul(365);
const SERVER_SPAN: Duration = DAY.saturating_mul(90);

/// Certificates begin this long before they are made: clocks differ.
const EARLIER: Duration = Duration::from_secs(300);

/// The trust domain of the lab, in names of those who call.
const DOMAIN: &str = "mosd.lab";

/// Bytes of a name, at most: it is that of a file, too.
const NAME_MAX: usize = 64;

/// The names of files that are not those of who calls.
const RESERVED: [&str; 3] = ["ca", "server", "crl"];

/// A folder with the files of a lab.
#[derive(Debug)]
pub(crate) struct Lab(PathBuf);

/// Why certificates cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file is not what it is taken for.
    #[error("{path}: {problem}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The name cannot be one of the lab.
    #[error(
        "{0:?} cannot be a name: write up to 64 lower-case letters, digits, -, _ and ., and not \
         ca, server or crl"
    )]
    Name(String),
    /// A host that is none.
    #[error("{0:?} is neither a name nor an address of a host")]
    Host(String),
    /// Something that should not happen.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate that was made.
#[derive(Debug)]
pub(crate) struct Issued {
    /// Its files.
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Whom it names.
    pub(crate) name: String,
}

impl Lab {
    /// The lab in this folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Makes the folder, a CA, an empty revocation list, and the certificate of a server that is
    /// called by these names and addresses; and a configuration that names them.
    ///
    /// # Errors
    ///
    /// A folder that is there already, a host that is none, a file that cannot be written.
    pub(crate) fn init(&self, hosts: &[String]) -> Result<(), LabError> {
        DirBuilder::new().mode(0o700).create(&self.0).map_err(|error| at(&self.0, error))?;
        let key = KeyPair::generate()?;
        let ca = ca_params(&key).self_signed(&key)?;
        self.write("ca.key", 0o600, &key.serialize_pem())?;
        self.write("ca.pem", 0o644, &ca.pem())?;
        let issuer = Issuer::new(ca_params(&key), key);
        self.write_list(&issuer, Vec::new())?;
        let mut names = vec![
            SanType::DnsName("localhost".try_into()?),
            SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
            SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
        ];
        for host in hosts {
            let unfit = || LabError::Host(host.clone());
            let name = match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) if host.contains(['/', ':', ' ']) || host.is_empty() => return Err(unfit()),
                Err(_) => SanType::DnsName(host.as_str().try_into().map_err(|_none| unfit())?),
            };
            names.push(name);
        }
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        self.issue_to("server", "server", names, usage, SERVER_SPAN, &issuer)?;
        let folder = self.0.canonicalize().map_err(|error| at(&self.0, error))?;
        self.write("mosd.toml", 0o600, &configuration(&folder))?;
        self.write("roles.toml", 0o600, ROLES)
    }

    /// Makes the certificate of who is called so, good for so long; grants it a role in the roles
    /// file of the lab.
    ///
    /// # Errors
    ///
    /// A name that is none or is taken, a lab that is not there, a file that cannot be written.
    pub(crate) fn issue(&self, name: &str, role: &str, span: Duration) -> Result<Issued, LabError> {
        let is_fit = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        let is_name = (1..=NAME_MAX).contains(&name.len())
            && name.bytes().all(is_fit)
            && !name.starts_with('.')
            && !RESERVED.contains(&name);
        if !is_name {
            return Err(LabError::Name(name.to_owned()));
        }
        let issuer = self.issuer()?;
        let uri = format!("spiffe://{DOMAIN}/{name}");
        let names = vec![SanType::URI(uri.as_str().try_into()?)];
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.issue_to(name, name, names, usage, span, &issuer)?;
        let grant = format!("\n[[grant]]\nroles = [\"{role}\"]\nuri = \"{uri}\"\n");
        self.append("roles.toml", &grant)?;
        let file = |ending| self.0.join(format!("{name}.{ending}"));
        Ok(Issued { cert: file("pem"), key: file("key"), name: uri })
    }

    /// Revokes the certificate of who is called so.
    ///
    /// # Errors
    ///
    /// A certificate or a lab that is not there, a file that cannot be written.
    pub(crate) fn revoke(&self, name: &str) -> Result<(), LabError> {
        let issuer = self.issuer()?;
        let (cert, list) = (format!("{name}.pem"), self.0.join("crl.pem"));
        let unfit = |path: &Path, error: x509_cert::der::Error| LabError::Unfit {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let leaf = Certificate::from_pem(self.read(&cert)?)
            .map_err(|error| unfit(&self.0.join(&cert), error))?;
        let known = CertificateList::<Rfc5280>::from_pem(self.read("crl.pem")?)
            .map_err(|error| unfit(&list, error))?;
        let serial = leaf.tbs_certificate().serial_number().as_bytes().to_vec();
        let known = known.tbs_cert_list.revoked_certificates.into_iter().flatten();
        let mut revoked: Vec<_> = known.map(|one| one.serial_number.as_bytes().to_vec()).collect();
        if !revoked.contains(&serial) {
            revoked.push(serial);
        }
        self.write_list(&issuer, revoked)
    }

    /// What issues certificates here.
    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, LabError> {
        let key = KeyPair::from_pem(&self.read("ca.key")?)?;
        Ok(Issuer::new(ca_params(&key), key))
    }

    fn issue_to(
        &self,
        file: &str,
        common_name: &str,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        span: Duration,
        issuer: &Issuer<'_, KeyPair>,
    ) -> Result<(), LabError> {
        let key = KeyPair::generate()?;
        let mut params = lasting(span);
        params.subject_alt_names = names;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let cert = params.signed_by(&key, issuer)?;
        self.write(&format!("{file}.key"), 0o600, &key.serialize_pem())?;
        self.write(&format!("{file}.pem"), 0o644, &cert.pem())
    }

    /// Puts a revocation list of these serial numbers in place of the one that is there.
    fn write_list(
        &self,
        issuer: &Issuer<'_, KeyPair>,
        serials: Vec<Vec<u8>>,
    ) -> Result<(), LabError> {
        let CertificateParams { not_before, not_after, .. } = lasting(CA_SPAN);
        let revoked = |serial: Vec<u8>| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial),
            revocation_time: not_before,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: not_before,
            next_update: not_after,
            crl_number: SerialNumber::from_slice(&since_1970().as_secs().to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: serials.into_iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(issuer)?.pem()?;
        let (path, new) = (self.0.join("crl.pem"), self.0.join("crl.pem.new"));
        fs::write(&new, list).map_err(|error| at(&new, error))?;
        fs::rename(&new, &path).map_err(|error| at(&path, error))
    }

    fn read(&self, name: &str) -> Result<String, LabError> {
        let path = self.0.join(name);
        fs::read_to_string(&path).map_err(|error| at(&path, error))
    }

    /// Writes a file that is not there yet.
    fn write(&self, name: &str, mode: u32, text: &str) -> Result<(), LabError> {
        let path = self.0.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| at(&path, error))
    }

    /// Adds to a file, if it is there.
    fn append(&self, name: &str, text: &str) -> Result<(), LabError> {
        let path = self.0.join(name);
        match OpenOptions::new().append(true).open(&path) {
            Ok(mut file) => file.write_all(text.as_bytes()).map_err(|error| at(&path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(&path, error)),
        }
    }
}

fn at(path: &Path, error: io::Error) -> LabError {
    LabError::File { path: path.to_owned(), error }
}

/// A certificate that begins now and is good for so long, in the name of nobody.
fn lasting(span: Duration) -> CertificateParams {
    let now = date_time_ymd(1970, 1, 1) + since_1970();
    let mut params = CertificateParams::default();
    params.not_before = now - EARLIER;
    params.not_after = now + span;
    params.distinguished_name = DistinguishedName::new();
    params
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The certificate of the CA with this key. The key makes its name, so that issuing needs no more,
/// and two labs are told apart.
fn ca_params(key: &KeyPair) -> CertificateParams {
    let mut params = lasting(CA_SPAN);
    let id: String =
        params.key_identifier(key).iter().take(4).map(|b| format!("{b:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("mosd lab CA {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A configuration of mosd that names the files in this folder.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "# mosd run --config {folder}/mosd.toml --port ...\n\
         [server]\n\
         listen = [\"unix://{folder}/mosd.sock\", \"tls://0.0.0.0:50551\"]\n\
         roles = \"{folder}/roles.toml\"\n\n\
         [tls]\n\
         cert = \"{folder}/server.pem\"\n\
         key = \"{folder}/server.key\"\n\
         client_ca = \"{folder}/ca.pem\"\n\
         crl = [\"{folder}/crl.pem\"]\n"
    )
}

/// The roles file of a lab, to which grants are added.
const ROLES: &str = "\
# Who may do what. `mosctl certs issue` adds to it; mosd takes a change within a second.
[[grant]]
roles = [\"admin\", \"payload\"]
uid = 0
";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_lab_is_made_once_and_its_keys_are_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certs");
        let lab = Lab::at(&path);
        lab.init(&["mos1.example".to_owned(), "192.0.2.7".to_owned()]).unwrap();
        lab.init(&[]).unwrap_err();
        let ops = lab.issue("ops", "operator", DAY).unwrap();
        assert_eq!(ops.name, "spiffe://mosd.lab/ops");
        assert_eq!(mode(&path), 0o700);
        for key in ["ca.key", "server.key", "ops.key"] {
            assert_eq!(mode(&path.join(key)), 0o600, "{key}");
        }
        let error = lab.issue("ops", "viewer", DAY).unwrap_err().to_string();
        assert!(error.contains("ops.key"), "{error}");
        let roles = fs::read_to_string(path.join("roles.toml")).unwrap();
        assert!(roles.ends_with("roles = [\"operator\"]\nuri = \"spiffe://mosd.lab/ops\"\n"));
    }

    #[test]
    fn revoked_certificates_stay_in_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certs");
        let lab = Lab::at(&path);
        lab.init(&[]).unwrap();
        for name in ["a", "b"] {
            lab.issue(name, "viewer", DAY).unwrap();
            lab.revoke(name).unwrap();
        }
        lab.revoke("a").unwrap();
        let list = CertificateList::<Rfc5280>::from_pem(lab.read("crl.pem").unwrap()).unwrap();
        assert_eq!(list.tbs_cert_list.revoked_certificates.unwrap().len(), 2);
        assert!(lab.revoke("c").unwrap_err().to_string().contains("c.pem"));
    }

    #[test]
    fn a_name_that_could_be_another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::at(&folder.path().join("certs"));
        lab.init(&[]).unwrap();
        for name in ["", "ca", "server", "crl", "../x", "a/b", "A", ".a", "a b", "ü"] {
            let error = lab.issue(name, "viewer", DAY).unwrap_err();
            assert!(matches!(error, LabError::Name(_)), "{name}: {error}");
        }
        let other = Lab::at(&folder.path().join("others"));
        for host in ["", "a b", "http://a"] {
            let error = other.init(&[host.to_owned()]).unwrap_err();
            assert!(matches!(error, LabError::Host(_)), "{host}: {error}");
            fs::remove_dir_all(folder.path().join("others")).unwrap();
        }
    }
}
