# Commands that want several members. Starts the three of the tutorial; `say` and `tell` run a command
# and show what a script sees of it, with the numbers covered that are never the same.
PATH=$PWD:$PATH
members=infra1=http://127.0.0.1:12380,infra2=http://127.0.0.1:22380,infra3=http://127.0.0.1:32380
for n in 1 2 3; do
  etcd --name infra$n --initial-cluster-token three --initial-cluster $members --initial-cluster-state new \
    --listen-client-urls http://127.0.0.1:${n}2379 --advertise-client-urls http://127.0.0.1:${n}2379 \
    --listen-peer-urls http://127.0.0.1:${n}2380 --initial-advertise-peer-urls http://127.0.0.1:${n}2380 \
    --logger=zap > $n.log 2>&1 &
  eval pid$n=$!
done
for n in 1 2 3; do until grep -q 'ready to serve client requests' $n.log; do
  sleep 0.1
  if grep -q '"level":"fatal"' $n.log; then cat $n.log >&2; exit 1; fi
done; done
all=--endpoints=127.0.0.1:12379,127.0.0.1:22379,127.0.0.1:32379
one=--endpoints=127.0.0.1:12379
new=none leader=none follower=none
decimal() { if [ "$1" = none ]; then echo none; else printf '%u' "0x$1"; fi; }

# Ids by their names, in both spellings, and nothing of times, terms and indexes.
mask() {
  sed -E "s/took = .*/took = _/; s/\"took\":\"[^\"]*\"/\"took\":_/g; s/^\"Took\" : .*/\"Took\" : _/
    s/\"(raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|leader|revision)\":[0-9]+/\"\1\":_/g
    s/\"version\":\"[^\"]*\"/\"version\":_/g
    s/^\"(RaftTerm|RaftIndex|RaftAppliedIndex|DBSize|Leader|Version|Revision)\" : .*/\"\1\" : _/
    s/\b$new\b/NEW/g; s/\b$(decimal $new)\b/NEW/g; s/Member +NEW/Member NEW/
    s/\b$leader\b/LEADER/g; s/\b$follower\b/FOLLOWER/g"
}
run() { code=0; "$@" > out 2> err || code=$?; }
seen() { grep -hv -e '^{"level":' -e '^hint: ' "$@" || true; }
# For what is listed in an order of its own.
say() {
  echo "$ $*" | mask; run "$@"
  seen out err | sed 's/},{"endpoint"/},\n{"endpoint"/g' | tr -d '[]' | sed 's/,$//' | sort | mask
  echo "=> $code"
}
# Bytes, in which nothing can be covered.
some() { if [ -s out ]; then echo bytes; else echo nothing; fi; }
tell() { echo "$ $*" | mask; run "$@"; seen out | mask; seen err | mask; echo "=> $code"; }
# Of a table the cells that do not depend on the moment, which also make columns wider.
cells() { tr -d ' ' | grep -v '^+' | cut -d'|' -f"$1" | mask; }
ids() { etcdctl $all endpoint status --cluster | grep "$1" | cut -d, -f2 | tr -d ' '; }

tell etcdctl $all member list
tell etcdctl $all member list -w table
tell etcdctl $one member list -w json
tell etcdctl $one member list -w json --hex
tell etcdctl $one member list -w fields
tell etcdctl $all put foo bar
tell etcdctl $all get foo
tell etcdctl $all get foo --consistency=s

for which in "$all" "$all --cluster" "$one --cluster"; do
  for format in simple json; do say etcdctl endpoint health $which -w $format; done
  echo "$ health $which, fields and table"
  etcdctl endpoint health $which -w fields 2>&1 | mask | sort
  etcdctl endpoint health $which -w table 2>&1 | cells 2,3,5 | sort
  for format in simple json fields table protobuf; do tell etcdctl endpoint hashkv $which -w $format; done
  echo "$ status $which"
  etcdctl endpoint status $which | cut -d, -f1,2,6
  for format in json fields; do etcdctl endpoint status $which -w $format | mask; done
  etcdctl endpoint status $which -w table | cells 2,3,7,11
  tell etcdctl endpoint status $which -w protobuf
done
tell etcdctl $all endpoint hashkv --rev=1
tell etcdctl $all defrag
tell etcdctl $one defrag --cluster
tell etcdctl $all alarm list
tell etcdctl $all alarm disarm
tell etcdctl $all snapshot save s.db
tell etcdctl $all check datascale --load=z

# Leadership is handed over by whoever has it.
for format in simple json protobuf fields table; do
  leader=$(ids ', true, false') follower=$(ids ', false, false' | head -n 1)
  at=$(etcdctl $all endpoint status --cluster | grep $follower | cut -d, -f1)
  tell etcdctl --endpoints=$at move-leader $follower -w $format | sed 's/:[123]2379/:PORT/'
  tell etcdctl $all move-leader $leader -w $format
  tell etcdctl $all move-leader $follower -w $format
  until now=$(ids ', true, false'); [ "$now" = $follower ]; do sleep 0.1; done
  echo moved
done
tell etcdctl $all move-leader 123
leader=none follower=none

# A learner comes, votes and goes, as often as there are forms to say so. Members that have only just
# met, or lost one, are not yet believed to be healthy. Its id is new each time and so is its place in lists: they are
# compared by their parts.
parts() { mask | tr ',=[' '\n\n\n' | sed 's/[]{}"]//g' | sort; }
changed() { if [ $format = protobuf ]; then some; else seen out | parts; fi; seen err; echo "=> $code"; }
# Its ports are below those that the system gives to others.
# Whoever votes already is refused, by etcd with one of two reasons.
vote_again() { tell etcdctl $all member promote $new | sed 's/ which is in sync with leader//'; }
for format in simple json fields table protobuf; do
  while run etcdctl $one member add infra4 --peer-urls=http://127.0.0.1:13380 --learner -w $format
    [ $code = 1 ] && grep -q -e 'unhealthy cluster' -e 'member not found' err; do sleep 0.2; done
  if [ $format = simple ]; then grep ETCD_ out | tr -d '"' > settings; fi
  new=$(etcdctl $all member list | grep ', unstarted, ' | cut -d, -f1)
  echo "$ member add -w $format"; changed
  tell etcdctl $all member promote $new
  tell etcdctl $all member add infra5 --peer-urls=http://127.0.0.1:52380 --learner
  env $(grep -v INITIAL_ADVERTISE settings | tr '\n' ' ') etcd --data-dir $format.etcd \
    --listen-client-urls http://127.0.0.1:13379 --advertise-client-urls http://127.0.0.1:13379 \
    --listen-peer-urls http://127.0.0.1:13380 --initial-advertise-peer-urls http://127.0.0.1:13380 \
    --initial-cluster-token three --logger=zap > 4.log 2>&1 &
  pid4=$!
  until etcdctl $all member list | grep -q "^$new, started"; do
    sleep 0.1
    if ! kill -0 $pid4; then cat 4.log >&2; exit 1; fi
  done
  while run etcdctl $one member promote $new -w $format; grep -q 'in sync with leader' err; do sleep 0.1; done
  echo "$ member promote -w $format"
  # The original breaks down when it is to say this in another form.
  if [ $format = simple ]; then changed; else changed | sed "s/^/mended $format: /"; fi
  for shown in simple json fields table; do etcdctl $one member list -w $shown | mask | tr -d ' -' | parts; done
  vote_again
  echo "$ member update -w $format"
  run etcdctl $one member update $new --peer-urls=http://127.0.0.1:13380 -w $format; changed
  echo "$ member remove -w $format"
  run etcdctl $one member remove $new -w $format; changed
  wait $pid4 || true
done
tell etcdctl $all member remove $new
tell etcdctl $all member update $new --peer-urls=http://127.0.0.1:13380
tell etcdctl $all member promote $new
# One that votes at once.
format=simple
while run etcdctl $one member add infra5 --peer-urls=http://127.0.0.1:52380,http://127.0.0.1:52381
  [ $code = 1 ] && grep -q -e 'unhealthy cluster' -e 'member not found' err; do sleep 0.2; done
new=$(etcdctl $all member list | grep ', unstarted, ' | cut -d, -f1)
echo "$ member add, a voter"; changed
vote_again
tell etcdctl $all member add infra6 --peer-urls=http://127.0.0.1:52381 --learner
tell etcdctl $all member remove $new
new=none

# A member that is gone holds nobody up and is named.
kill -9 $pid3; wait $pid3 || true
limit="--command-timeout=1s --dial-timeout=1s"
gone="--endpoints=127.0.0.1:32379,127.0.0.1:12379"
until etcdctl $one put foo gone > out 2>&1; do sleep 0.1; done
tell etcdctl $gone put foo baz
tell etcdctl $gone get foo
tell etcdctl $gone member list
for format in simple json; do say etcdctl $gone $limit endpoint health -w $format; done
say etcdctl $one $limit endpoint health --cluster
tell etcdctl $gone $limit endpoint hashkv
tell etcdctl $gone $limit endpoint hashkv -w json
tell etcdctl $one $limit endpoint hashkv --cluster
tell etcdctl $gone $limit defrag
echo "$ endpoint status"; run etcdctl $gone $limit endpoint status
seen out | cut -d, -f1,2,6; seen err; echo "=> $code"
echo "$ endpoint status --cluster"; run etcdctl $one $limit endpoint status --cluster
seen out | cut -d, -f1,2; seen err; echo "=> $code"
tell etcdctl --endpoints=127.0.0.1:32379 $limit endpoint status --cluster
tell etcdctl --endpoints=127.0.0.1:32379 $limit move-leader 123
