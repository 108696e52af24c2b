#!/usr/bin/python3
"""Plays the weeks of the frozen simulated distributor into an ordinary schema, lets agentcrm plan through its
public interface, and gives the actions back to the world.  Reads nothing hidden: orders, lines and reps only.

usage: connect.py PATH_OF_SIM SEED [cap|nocap|first:AGENT,AGENT,...]   (PGDATABASE: an empty database; psql in PATH)

nocap: no contact policy.  first: the same agents without an auction, each in turn takes what it wants of what is left.
Prints "margin M alive A actions N1,...,N7" of the run; a progress line a quarter goes to stderr."""
import importlib.util
import subprocess
import sys

import numpy as np

path, seed, caps = sys.argv[1], int(sys.argv[2]), (sys.argv + ["cap"])[3]
spec = importlib.util.spec_from_file_location("sim", path)
sim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sim)

MESSAGE, CALL, VISIT_RETAIN, CALL_RETAIN = 1, 2, 5, 6
FIRST = np.datetime64("2024-01-01")  # a Monday


class Server:
    """One psql session: statements in, rows out."""

    def __init__(self):
        self.psql = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, sql):
        self.psql.stdin.write(sql + "\n\\echo --done--\n")
        self.psql.stdin.flush()
        rows = []
        for line in self.psql.stdout:
            if line.rstrip("\n") == "--done--":
                return rows
            rows.append(line.rstrip("\n").split("|"))
        raise SystemExit("the server ended the session; its message is above")


def attach(server, world):
    server.do("""
        CREATE EXTENSION agentcrm;
        SELECT agentcrm.pause();
        CREATE SCHEMA shop;
        CREATE TABLE shop.rep (rep_id int PRIMARY KEY, name text);
        CREATE TABLE shop.client (client_id int PRIMARY KEY, name text, rep_id int REFERENCES shop.rep);
        CREATE TABLE shop.product (product_id int PRIMARY KEY, name text, category text);
        CREATE TABLE shop.orders (order_id int PRIMARY KEY, client_id int REFERENCES shop.client, ordered_on date);
        CREATE TABLE shop.line (order_id int REFERENCES shop.orders, product_id int REFERENCES shop.product, quantity numeric, amount numeric, PRIMARY KEY (order_id, product_id));
        INSERT INTO shop.rep SELECT i, 'Rep ' || i FROM generate_series(0, 9) i;
        INSERT INTO shop.product SELECT i, 'Product ' || i, 'Category ' || i FROM generate_series(0, 7) i;
        INSERT INTO shop.client SELECT i, 'Client ' || i, (string_to_array('%s', ','))[i + 1]::int FROM generate_series(0, 1999) i;
        SET agentcrm.debug_now = '2024-01-01 06:00+00';""" % ",".join(map(str, world.rep)))
    server.do("""SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.line', clients => 'shop.client', products => 'shop.product', reps => 'shop.rep',
        at => 'o.ordered_on', quantity => 'l.quantity', amount => 'l.amount', margin => 'l.amount', rep => 'c.rep_id', client_name => 'c.name', product_name => 'p.name', category => 'p.category',
        time_zone => 'UTC', run_as => current_user);
        CALL agentcrm.run();
        SELECT agentcrm.go_live('shop');
        UPDATE agentcrm.resource SET period = 'week', capacity = 300 WHERE resource = 'rep_minutes';
        INSERT INTO agentcrm.resource (resource, period, capacity) VALUES ('channel:email', 'week', 20), ('channel:app', 'week', 280);
        UPDATE agentcrm.agent SET params = params || '{"call_minutes": 8}';
        UPDATE agentcrm.agent SET params = params || '{"suggestion_cost": 0.05}' WHERE agent IN ('reorder', 'portfolio');
        UPDATE agentcrm.agent SET params = params || '{"visit_cost": 6}' WHERE agent = 'portfolio';""")
    if caps == "nocap":
        server.do("DELETE FROM agentcrm.contact_policy;")
    if caps.startswith("first:"):
        server.do("UPDATE agentcrm.agent SET mode = 'paused'; SET agentcrm.plan_hour = -1;")


def in_turn(server):
    """A fixed precedence: agent by agent, what one was awarded stands before the next one bids."""
    for agent in caps[6:].split(","):
        server.do(f"""UPDATE agentcrm.agent SET mode = CASE agent WHEN '{agent}' THEN 'active' ELSE 'paused' END;
            SELECT count(*) FROM agentcrm.plan(dry_run => false);
            UPDATE agentcrm.recommendation SET status = 'snoozed' WHERE status = 'open';""")
    server.do("UPDATE agentcrm.agent SET mode = 'paused';")


def plan(server, week):
    """Clients and actions for the week: one each, the dearest first."""
    day = FIRST + 7 * week
    server.do(f"SET agentcrm.debug_now = '{day} 06:00+00'; CALL agentcrm.run();")
    if caps.startswith("first:"):
        in_turn(server)
    rows = server.do(f"""SELECT DISTINCT ON (client_id) client_id, agent, action, recommendation_id FROM agentcrm.recommendation
        WHERE status IN ('open', 'snoozed') AND due_on < '{day + 7}' ORDER BY client_id, value DESC, recommendation_id;""")
    act = np.zeros(sim.N, int)
    for client, agent, action, _ in rows:
        retain = agent == "retention"
        act[int(client)] = {"call": CALL_RETAIN if retain else CALL, "visit": VISIT_RETAIN}.get(action, MESSAGE)
    if rows:
        server.do("SELECT count(*) FROM (SELECT agentcrm.feedback(unnest('{%s}'::bigint[]), 'done')) f;" % ",".join(r[3] for r in rows))
    return act


def enter(server, week, order, margin, own, first_id):
    """The week's orders, each with a line a category that the client buys."""
    day = FIRST + 7 * week + 3
    clients = np.where(order)[0]
    orders = [f"({first_id + i},{c},'{day}')" for i, c in enumerate(clients)]
    lines = [f"({first_id + i},{k},1,{margin[c] / own[c].sum():.4f})" for i, c in enumerate(clients) for k in np.where(own[c])[0]]
    if orders:
        server.do(f"SET agentcrm.debug_now = '{day} 20:00+00'; INSERT INTO shop.orders VALUES {','.join(orders)}; INSERT INTO shop.line VALUES {','.join(lines)};")
    return len(orders)


def main():
    server, world = Server(), sim.World(seed)
    attach(server, world)
    total, n_orders, counts = 0.0, 0, np.zeros(8, int)
    for week in range(sim.T):
        # as for all policies: twelve weeks of history before anything is done
        act = plan(server, week) if week >= 12 else np.zeros(sim.N, int)
        order, margin, own, _, cost = world.step(week, act, -np.ones(sim.N, int))
        n_orders += enter(server, week, order, margin, own, n_orders + 1)
        if week >= 12:
            total += (margin - cost).sum()
        counts += np.bincount(act, minlength=8)
        if week % 13 == 12:
            print(f"  progress: seed {seed}, week {week + 1} of {sim.T}, {n_orders} orders, actions {counts[1:]}", file=sys.stderr, flush=True)
    wrong = server.do("SELECT count(*) FROM agentcrm.verify();")[0][0]
    if wrong != "0":
        raise SystemExit(f"verify() finds {wrong} differences")
    print(f"margin {total:.0f} alive {(world.state < 2).sum()} actions {','.join(map(str, counts[1:]))}")


main()
