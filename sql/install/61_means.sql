-- plan/: the means: contact policy, capacities, reps' days, floors and ceilings of objectives

CREATE TABLE agentcrm.contact_policy (
	channel			text PRIMARY KEY,
	max_contacts	int NOT NULL CHECK (max_contacts >= 0),
	per_days		int NOT NULL CHECK (per_days > 0),
	cooldown_days	int NOT NULL CHECK (cooldown_days >= 0),
	quiet_weekdays	int[] NOT NULL DEFAULT '{}' CHECK (quiet_weekdays <@ '{1,2,3,4,5,6,7}'::int[]),
	suppress_after	int CHECK (suppress_after > 0),
	suppress_days	int NOT NULL DEFAULT 90 CHECK (suppress_days > 0)
);
COMMENT ON TABLE agentcrm.contact_policy IS 'How often a client may be contacted: per channel, and * over all channels. A contact is a recommendation with a channel that was not withdrawn, displaced or withheld, dated at its due_on';
COMMENT ON COLUMN agentcrm.contact_policy.channel IS 'Channel, * for all together';
COMMENT ON COLUMN agentcrm.contact_policy.max_contacts IS 'Most contacts within per_days';
COMMENT ON COLUMN agentcrm.contact_policy.per_days IS 'Length of the period, days';
COMMENT ON COLUMN agentcrm.contact_policy.cooldown_days IS 'Least days between the same action and its repetition; for *: between any two contacts';
COMMENT ON COLUMN agentcrm.contact_policy.quiet_weekdays IS 'Days of the week without contacts: 1 Monday to 7 Sunday';
COMMENT ON COLUMN agentcrm.contact_policy.suppress_after IS 'So many contacts in a row that expired or were declined end contacts by the channel for suppress_days; NULL: never';
COMMENT ON COLUMN agentcrm.contact_policy.suppress_days IS 'Days for which contacts are suppressed, after the last one that was ignored';

CREATE TABLE agentcrm.quiet_day (
	day		date NOT NULL,
	channel	text NOT NULL DEFAULT '*',
	PRIMARY KEY (day, channel)
);
COMMENT ON TABLE agentcrm.quiet_day IS 'Days without contacts: holidays, stock-taking';
COMMENT ON COLUMN agentcrm.quiet_day.day IS 'Day';
COMMENT ON COLUMN agentcrm.quiet_day.channel IS 'Channel, * for all';

CREATE TABLE agentcrm.resource (
	resource	text NOT NULL CHECK (resource IN ('rep_minutes', 'budget') OR resource ~ '^channel:.'),
	owner_id	bigint,
	period		text NOT NULL DEFAULT 'day' CHECK (period IN ('day', 'week', 'month', 'quarter', 'year')),
	capacity	numeric NOT NULL CHECK (capacity >= 0 AND capacity < 'Infinity'),
	UNIQUE NULLS NOT DISTINCT (resource, owner_id)
);
COMMENT ON TABLE agentcrm.resource IS 'Means and their capacity per period. What has no row here is not limited; stock is that of feed stock, and a programme''s own budget that of feed programme';
COMMENT ON COLUMN agentcrm.resource.resource IS 'rep_minutes: minutes of a rep for recommended actions; budget: money of a programme; channel:phone and the like: contacts by that channel over all clients';
COMMENT ON COLUMN agentcrm.resource.owner_id IS 'Rep, or programme; NULL: every one without a row of its own. Of a channel NULL';
COMMENT ON COLUMN agentcrm.resource.period IS 'Period the capacity is for; weeks begin on Monday';
COMMENT ON COLUMN agentcrm.resource.capacity IS 'Capacity per period, in the resource''s unit';

CREATE TABLE agentcrm.resource_use (
	client_id			bigint NOT NULL,
	recommendation_id	bigint NOT NULL,
	resource			text NOT NULL,
	owner_id			bigint NOT NULL,
	day					date NOT NULL,
	amount				numeric NOT NULL,
	at					timestamptz NOT NULL
);
CREATE INDEX resource_use_client_id_recommendation_id_idx ON agentcrm.resource_use (client_id, recommendation_id);
CREATE INDEX resource_use_resource_owner_id_day_idx ON agentcrm.resource_use (resource, owner_id, day);
COMMENT ON TABLE agentcrm.resource_use IS 'Means committed to recommendations; appended, a release is a negative amount';
COMMENT ON COLUMN agentcrm.resource_use.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.resource_use.recommendation_id IS 'Recommendation';
COMMENT ON COLUMN agentcrm.resource_use.resource IS 'Resource';
COMMENT ON COLUMN agentcrm.resource_use.owner_id IS 'Rep; 0 for clients without one, who share one default capacity';
COMMENT ON COLUMN agentcrm.resource_use.day IS 'Day the means are needed';
COMMENT ON COLUMN agentcrm.resource_use.amount IS 'Amount, negative when given back';
COMMENT ON COLUMN agentcrm.resource_use.at IS 'When it was committed';

CREATE TABLE agentcrm.zone (
	zone			text PRIMARY KEY,
	travel_minutes	numeric NOT NULL CHECK (travel_minutes >= 0)
);
COMMENT ON TABLE agentcrm.zone IS 'Zones that reps visit; a client''s zone is its territory';
COMMENT ON COLUMN agentcrm.zone.zone IS 'Zone: a value of client.territory';
COMMENT ON COLUMN agentcrm.zone.travel_minutes IS 'Minutes of travel there and back';

CREATE TABLE agentcrm.visit_day (
	rep_id	bigint NOT NULL,
	weekday	int NOT NULL CHECK (weekday BETWEEN 1 AND 7),
	zone	text NOT NULL REFERENCES agentcrm.zone,
	PRIMARY KEY (rep_id, weekday, zone)
);
COMMENT ON TABLE agentcrm.visit_day IS 'Where a rep is on which day of the week. The way there is taken off the rep''s day; a visit elsewhere takes the travel of its own zone in addition';
COMMENT ON COLUMN agentcrm.visit_day.rep_id IS 'Rep';
COMMENT ON COLUMN agentcrm.visit_day.weekday IS '1 Monday to 7 Sunday';
COMMENT ON COLUMN agentcrm.visit_day.zone IS 'Zone';

CREATE TABLE agentcrm.rep_absence (
	rep_id				bigint NOT NULL,
	from_day			date NOT NULL,
	until_day			date NOT NULL CHECK (until_day > from_day),
	substitute_rep_id	bigint CHECK (substitute_rep_id <> rep_id),
	PRIMARY KEY (rep_id, from_day)
);
COMMENT ON TABLE agentcrm.rep_absence IS 'Days on which a rep is away: the substitute does the work in his own minutes, else it waits';
COMMENT ON COLUMN agentcrm.rep_absence.rep_id IS 'Rep';
COMMENT ON COLUMN agentcrm.rep_absence.from_day IS 'First day';
COMMENT ON COLUMN agentcrm.rep_absence.until_day IS 'Day after the last';
COMMENT ON COLUMN agentcrm.rep_absence.substitute_rep_id IS 'Who stands in; NULL: nobody';

CREATE TABLE agentcrm.rep_territory (
	territory	text PRIMARY KEY,
	rep_id		bigint NOT NULL
);
COMMENT ON TABLE agentcrm.rep_territory IS 'Who looks after clients and leads of a territory that have no rep of their own';
COMMENT ON COLUMN agentcrm.rep_territory.territory IS 'Territory';
COMMENT ON COLUMN agentcrm.rep_territory.rep_id IS 'Rep';

CREATE TABLE agentcrm.hand_over (
	from_rep_id	bigint NOT NULL,
	from_day	date NOT NULL,
	to_rep_id	bigint NOT NULL CHECK (to_rep_id <> from_rep_id),
	PRIMARY KEY (from_rep_id, from_day)
);
COMMENT ON TABLE agentcrm.hand_over IS 'A rep''s clients go to another one from a day on, before or without the application saying so';
COMMENT ON COLUMN agentcrm.hand_over.from_rep_id IS 'Rep who had them';
COMMENT ON COLUMN agentcrm.hand_over.from_day IS 'First day';
COMMENT ON COLUMN agentcrm.hand_over.to_rep_id IS 'Rep who has them from then on';

CREATE TABLE agentcrm.objective_policy (
	objective	text NOT NULL CHECK (objective IN ('acquire', 'grow', 'retain', 'serve', 'protect', 'explore')),
	means		text NOT NULL CHECK (means IN ('rep_minutes', 'cost')),
	period		text NOT NULL DEFAULT 'day' CHECK (period IN ('day', 'week', 'month', 'quarter', 'year')),
	floor		numeric CHECK (floor >= 0),
	ceiling		numeric CHECK (ceiling >= 0),
	worth		numeric NOT NULL DEFAULT 1 CHECK (worth > 0),
	PRIMARY KEY (objective, means),
	CHECK (floor IS NOT NULL OR ceiling IS NOT NULL),
	CHECK (floor <= ceiling)
);
COMMENT ON TABLE agentcrm.objective_policy IS 'How much of the means an objective shall get at least, and may get at most, so that the long view is not starved by the short one';
COMMENT ON COLUMN agentcrm.objective_policy.objective IS 'Objective of agents, or explore: bids to learn from, whatever their agent''s objective';
COMMENT ON COLUMN agentcrm.objective_policy.means IS 'rep_minutes over all reps, or cost of the actions in source currency';
COMMENT ON COLUMN agentcrm.objective_policy.period IS 'Period that floor and ceiling are for; weeks begin on Monday';
COMMENT ON COLUMN agentcrm.objective_policy.floor IS 'At least so much, as far as bids reach; NULL: none';
COMMENT ON COLUMN agentcrm.objective_policy.ceiling IS 'At most so much; NULL: no limit';
COMMENT ON COLUMN agentcrm.objective_policy.worth IS 'What a unit missing from the floor is held to cost, source currency: no bid is paid more than this a unit to fill it';

CREATE FUNCTION agentcrm.owner_of(rep_id bigint, territory text, day date) RETURNS bigint STABLE LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_owner_of';
COMMENT ON FUNCTION agentcrm.owner_of(bigint, text, date) IS
'The rep who does the work for a client or lead on a day: its own rep, else that of its territory; after hand-overs; while away the substitute. rep_id, territory: as known of the client, may be NULL. NULL: nobody; so also for a NULL day.
Example: SELECT client_id, agentcrm.owner_of(rep_id, territory, ''2026-03-02'') FROM agentcrm.client';
