# Clients who buy as the mixture of a grocery says (MBG/CNBD-k), as rows for COPY:
# their orders, one line each, to the file `ledger`, what these add up to to
# `profile`.  -v clients=N -v last=DAY (days since 1970, the last day of orders)
# -v seed=N.  Ages of 26 to 104 weeks.

# Gamma of a whole or real shape, by Marsaglia and Tsang.
function normal() { return sqrt(-2 * log(1 - rand())) * cos(6.283185307179586 * rand()) }
function gamma(shape,   d, c, x, v) {
	if (shape < 1)
		return gamma(shape + 1) * (1 - rand()) ^ (1 / shape)
	d = shape - 1 / 3
	c = 1 / sqrt(9 * d)
	for (;;) {
		x = normal()
		v = (1 + c * x) ^ 3
		if (v > 0 && log(1 - rand()) < .5 * x * x + d - d * v + d * log(v))
			return d * v
	}
}

# Day number to date (proleptic Gregorian, era by era of 400 years).
function civil(day,   era, doe, yoe, doy, mp, d, m) {
	day += 719468
	era = int(day / 146097)
	doe = day - era * 146097
	yoe = int((doe - int(doe / 1460) + int(doe / 36524) - int(doe / 146096)) / 365)
	doy = doe - (365 * yoe + int(yoe / 4) - int(yoe / 100))
	mp = int((5 * doy + 2) / 153)
	d = doy - int((153 * mp + 2) / 5) + 1
	m = mp < 10 ? mp + 3 : mp - 9
	return sprintf("%04d-%02d-%02d", yoe + era * 400 + (m <= 2), m, d)
}

function regularity(   u, i) {
	u = rand()
	for (i = 1; i < 7 && u > share[i]; i++)
		u -= share[i]
	return k[i]
}

# The days of a client's orders, in day[1..n].
function buy(   age, of, rate, leaves, t, x, g) {
	age = 182 + int(rand() * 547)
	of = regularity()
	rate = gamma(1.244) / (5.129 * 7 / of)
	x = gamma(.4311)
	g = gamma(.8154)
	leaves = x / (x + g)
	n = 0
	for (t = 0; t <= age; ) {
		day[++n] = last - age + t
		if (rand() < leaves || rate < 1e-12)
			break
		g = gamma(of) / rate
		if (g > age)
			break
		t += g > int(g) ? int(g) + 1 : int(g)
	}
}

function array(text) { return "{" substr(text, 2) "}" }

function write_client(client,   i, m, month, months, counts, amounts, nones, zeros, recent, logs, gap, value, held) {
	value = 20 + int(rand() * 200)
	months = counts = amounts = nones = zeros = recent = ""
	logs = held = 0
	for (i = 1; i <= n; i++) {
		if (!(day[i] in date))
			date[day[i]] = civil(day[i])
		orders++
		printf("%d\t%d\t%s 12:00+00\t%s 12:00+00\t1\t%s\tf\tsale\t1\t%d\t1\n", client, orders, date[day[i]], date[day[i]], date[day[i]], value) >ledger
		month = substr(date[day[i]], 1, 7) "-01"
		if (i > 1) {
			gap = day[i] - day[i - 1]
			logs += log(gap)
			if (i > n - 24)
				recent = recent "," gap
		}
		held++
		if (i == n || substr(date_of(day[i + 1]), 1, 7) "-01" != month) {
			months = months "," month
			counts = counts "," held
			amounts = amounts "," held * value
			nones = nones ",NULL"
			zeros = zeros ",0"
			held = 0
		}
	}
	printf("%d\t%d\t0\t%s 12:00+00\t%s 12:00+00\t%s\t%s\t%d\t%d\t%s\t%s\t%.17g\t%s\t%s 12:00+00\t1\t%d\t%d\t0\t%s\t%s\t%s\t%s\t%s\n", client, n, date[day[1]], date[day[n]],
		date[day[1]], date[day[n]], n - 1, day[n] - day[1], n > 1 ? day[n] - day[n - 1] : "\\N", n > 2 ? day[n - 1] - day[n - 2] : "\\N", logs, array(recent),
		date[day[n]], orders, n * value, array(months), array(counts), array(amounts), array(nones), array(zeros)) >profile
}

function date_of(d) {
	if (!(d in date))
		date[d] = civil(d)
	return date[d]
}

BEGIN {
	srand(seed)
	split("1 2 3 4 6 8 12", k, " ")
	split(".2284 .2583 .0831 .1948 .0342 .0166 .1846", share, " ")
	for (client = 1; client <= clients; client++) {
		buy()
		write_client(client)
	}
}
