//! Changes of the set without workers: what is kept, refused, taken back, and read again.

use super::*;
use crate::filter::FilterErrorKind;

fn draft(id: &str, priority: u16, filter: &str) -> Draft {
    Draft {
        id: id.to_owned(),
        priority,
        filter: filter.to_owned(),
        monitor: true,
        options: mos_stack::SockOptChange::default(),
        comment: String::new(),
        expires: None,
    }
}

fn open(home: &Home) -> Arc<Policies> {
    Arc::new(Policies::open(home.clone(), Vec::new(), Limits::default(), 1).unwrap())
}

/// Policies, and what stands for workers: none.
struct World {
    policies: Arc<Policies>,
    workers: Workers,
}

impl World {
    fn new(home: &Home) -> Self {
        Self { policies: open(home), workers: Workers::spawn(Vec::new()) }
    }

    async fn replace(&self, how: How, drafts: Vec<Draft>) -> Result<Changed, PolicyError> {
        let by = By { workers: &self.workers, author: "uid 0" };
        self.policies.change(by, how, |_| Ok(drafts)).await
    }

    async fn confirm(&self, number: u64) -> Result<Changed, PolicyError> {
        self.policies.confirm(By { workers: &self.workers, author: "uid 0" }, number).await
    }

    fn names(&self) -> Vec<String> {
        self.policies.generation().policies.iter().map(|policy| policy.draft.id.clone()).collect()
    }
}

fn confirm_within(span: Duration) -> How {
    How { confirm_within: Some(span), ..How::default() }
}

#[tokio::test]
async fn a_set_is_in_match_order_and_tells_what_differs() {
    let world = World::new(&Home::Memory);
    let drafts =
        vec![draft("web", 20, "server.port = 443"), draft("all", 30, "*"), draft("b", 20, "*")];
    let changed = world.replace(How::default(), drafts.clone()).await.unwrap();
    assert_eq!((changed.generation.number, world.names().join(" ")), (1, "b web all".to_owned()));
    assert_eq!(changed.difference.added, ["b", "web", "all"]);
    let etag = changed.generation.etag();
    let same = world.replace(How::default(), drafts).await.unwrap();
    assert_eq!((same.generation.number, same.generation.etag()), (1, etag.clone()));
    let drafts =
        vec![draft("web", 20, "server.port = 80"), draft("b", 20, "*"), draft("c", 1, "*")];
    let dry = How { validate_only: true, ..How::default() };
    let checked = world.replace(dry, drafts.clone()).await.unwrap();
    assert_eq!(world.names().join(" "), "b web all");
    let changed = world.replace(How::default(), drafts).await.unwrap();
    assert_eq!(changed.difference, checked.difference);
    let Difference { added, changed: others, removed } = changed.difference;
    assert_eq!([added.join(" "), others.join(" "), removed.join(" ")], ["c", "web", "all"]);
    assert_ne!(changed.generation.etag(), etag);
    let kept = changed.generation.find("b").unwrap();
    assert!(kept.updated < changed.generation.created, "what stays the same keeps its dates");
}

#[tokio::test]
async fn what_cannot_be_a_policy_is_refused_and_nothing_changes() {
    let world = World::new(&Home::Memory);
    let refused =
        async |draft: Draft| world.replace(How::default(), vec![draft]).await.unwrap_err();
    for id in ["", "Web", "1", "a-", "a_b", &"a".repeat(64)] {
        let error = refused(draft(id, 1, "*")).await;
        assert!(matches!(error, PolicyError::Invalid { field: "name", .. }), "{id}: {error}");
    }
    assert!(matches!(refused(draft("a", 1, " ")).await, PolicyError::Invalid { .. }));
    let error = refused(draft("a", 1, "server.port = 1 AND age > 1m")).await;
    let PolicyError::Filter { error, .. } = error else { panic!("{error}") };
    assert_eq!((error.kind, error.column), (FilterErrorKind::FieldUnavailable, 21));
    let mut large = draft("a", 1, "*");
    large.options.buffer_bytes.client = Some(1 << 40);
    assert!(matches!(refused(large.clone()).await, PolicyError::Options { .. }));
    large.options.buffer_bytes.client = Some(1);
    large.monitor = false;
    assert!(matches!(refused(large).await, PolicyError::Invalid { field: "options", .. }));
    let twice = vec![draft("a", 1, "*"), draft("a", 2, "*")];
    let error = world.replace(How::default(), twice).await.unwrap_err();
    assert!(matches!(error, PolicyError::Set(_)), "{error}");
    let many = (0..1025).map(|n| draft(&format!("a{n}"), 1, "*")).collect();
    assert!(matches!(world.replace(How::default(), many).await, Err(PolicyError::Set(_))));
    assert_eq!((world.names(), world.policies.generation().number), (vec![], 0));
}

#[tokio::test]
async fn an_explanation_names_the_term_that_failed() {
    let world = World::new(&Home::Memory);
    let mut web = draft("web", 20, "server.port = 443");
    web.options.buffer_bytes.client = Some(65_536);
    let mut guests = draft("guests", 10, "client.address = 172.16.0.0/12");
    guests.monitor = false;
    world.replace(How::default(), vec![web, guests]).await.unwrap();
    let tuple = |client: &str, server: &str| FlowTuple {
        client: client.parse().unwrap(),
        server: server.parse().unwrap(),
        vlan: None,
    };
    let Explained { trials, options } =
        world.policies.explain(&tuple("10.0.0.1:1", "192.0.2.10:443"));
    let failed = "client.address = \"172.16.0.0/12\" (was 10.0.0.1)".to_owned();
    assert_eq!(trials, [("guests".to_owned(), Some(failed)), ("web".to_owned(), None)]);
    assert_eq!(options.unwrap().buffer_bytes.client, 65_536);
    assert_eq!(world.policies.explain(&tuple("172.16.0.1:1", "192.0.2.10:443")).options, None);
    let Explained { trials, options } =
        world.policies.explain(&tuple("10.0.0.1:1", "192.0.2.10:80"));
    assert_eq!((trials.len(), options), (2, Some(SockOpts::default())));
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart_and_can_be_returned_to() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::Folder(folder.path().join("policies"));
    let world = World::new(&home);
    assert!(world.policies.is_durable() && !World::new(&Home::Memory).policies.is_durable());
    world.replace(How::default(), vec![draft("a", 1, "*")]).await.unwrap();
    world.replace(How::default(), vec![draft("b", 1, "*")]).await.unwrap();
    let before = world.policies.generation();
    drop(world);
    let world = World::new(&home);
    assert_eq!(world.policies.generation(), before);
    assert_eq!(world.policies.table().generation(), 2);
    let by = By { workers: &world.workers, author: "uid 0" };
    let changed = world.policies.roll_back(by.clone(), How::default(), 1).await.unwrap();
    assert_eq!((changed.generation.number, world.names()), (3, vec!["a".to_owned()]));
    let unknown = world.policies.roll_back(by, How::default(), 77).await.unwrap_err();
    assert_eq!(unknown, PolicyError::GenerationNotFound(77));
    let numbers: Vec<_> =
        world.policies.history().await.iter().map(|generation| generation.number).collect();
    assert_eq!(numbers, [3, 2, 1]);
}

#[tokio::test]
async fn the_newest_that_cannot_be_read_is_passed_over_loudly_until_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::Folder(folder.path().to_owned());
    let world = World::new(&home);
    world.replace(How::default(), vec![draft("a", 1, "*")]).await.unwrap();
    world.replace(How::default(), vec![draft("b", 1, "*")]).await.unwrap();
    drop(world);
    std::fs::write(folder.path().join("policies.2"), "torn").unwrap();
    let world = World::new(&home);
    let trouble = world.policies.trouble().unwrap();
    assert!(trouble.contains("policies.2"), "{trouble}");
    assert_eq!(world.names(), ["a"]);
    let changed = world.replace(How::default(), vec![draft("c", 1, "*")]).await.unwrap();
    assert_eq!((changed.generation.number, world.policies.trouble()), (3, None));
}

#[tokio::test]
async fn a_change_that_nobody_confirms_is_taken_back_also_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::Folder(folder.path().to_owned());
    let world = World::new(&home);
    world.replace(How::default(), vec![draft("a", 1, "*")]).await.unwrap();
    let soon = confirm_within(Duration::from_millis(50));
    let pending = world.replace(soon, vec![draft("b", 1, "*")]).await.unwrap();
    assert!(pending.generation.rollback.is_some());
    let other = world.replace(How::default(), vec![draft("c", 1, "*")]).await.unwrap_err();
    assert_eq!(other, PolicyError::Unconfirmed(2));
    assert_eq!(world.names(), ["b"]);
    drop(world);
    std::thread::sleep(Duration::from_millis(60));
    let world = World::new(&home);
    assert_eq!((world.names(), world.policies.generation().number), (vec!["a".to_owned()], 3));
    assert_eq!(world.confirm(2).await.unwrap_err(), PolicyError::NotPending(2));
    drop(world);
    assert_eq!(World::new(&home).names(), ["a"]);
}

#[tokio::test]
async fn a_change_that_is_confirmed_stays_and_one_that_is_cancelled_goes() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::Folder(folder.path().to_owned());
    let world = World::new(&home);
    let soon = confirm_within(Duration::from_millis(50));
    world.replace(soon, vec![draft("a", 1, "*")]).await.unwrap();
    let confirmed = world.confirm(1).await.unwrap();
    assert_eq!((confirmed.generation.number, confirmed.generation.rollback), (1, None));
    drop(world);
    std::thread::sleep(Duration::from_millis(60));
    let world = World::new(&home);
    assert_eq!((world.names(), world.policies.history().await.len()), (vec!["a".to_owned()], 1));
    let late = confirm_within(Duration::from_secs(60));
    world.replace(late, vec![draft("b", 1, "*")]).await.unwrap();
    let by = By { workers: &world.workers, author: "uid 0" };
    let cancelled = world.policies.cancel(by, 2).await.unwrap();
    assert_eq!((cancelled.generation.number, world.names()), (3, vec!["a".to_owned()]));
}

#[tokio::test]
async fn what_expires_goes_by_itself() {
    let world = World::new(&Home::Memory);
    let mut brief = draft("brief", 1, "*");
    brief.expires = Some(SystemTime::now() + Duration::from_millis(30));
    world.replace(How::default(), vec![brief, draft("a", 2, "*")]).await.unwrap();
    assert_eq!(world.names(), ["brief", "a"]);
    let upkeep = tokio::spawn(Arc::clone(&world.policies).keep(world.workers.clone()));
    tokio::time::sleep(Duration::from_millis(60)).await;
    world.policies.changed.notify_one();
    while world.names() != ["a"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.policies.generation().author, "mosd");
    upkeep.abort();
}

#[tokio::test]
async fn what_a_file_says_is_changed_by_the_file_alone() {
    let path = PathBuf::from("/etc/mosd/policies.toml");
    let home = Home::File(path.clone());
    let policies = Policies::open(home, vec![draft("a", 1, "*")], Limits::default(), 1).unwrap();
    let world = World { policies: Arc::new(policies), workers: Workers::spawn(Vec::new()) };
    assert_eq!((world.names(), world.policies.generation().number), (vec!["a".to_owned()], 1));
    let refused = world.replace(How::default(), Vec::new()).await.unwrap_err();
    assert_eq!(refused, PolicyError::FromFile(path.clone()));
    let policies = Arc::clone(&world.policies);
    let reread =
        move |drafts: Vec<Draft>| policies.prepare(&path, drafts).map(|new| policies.take(new));
    spawn_blocking(move || {
        assert!(reread(vec![draft("a", 1, "age > 1m")]).is_err());
        reread(vec![draft("a", 1, "*")]).unwrap();
        reread(vec![draft("b", 1, "*")]).unwrap();
    })
    .await
    .unwrap();
    assert_eq!((world.names(), world.policies.generation().number), (vec!["b".to_owned()], 2));
}
