-- source/: what names and values mean: the vocabulary by which propose reads tables, columns and statuses it has never seen

/*
 * "Sales Order Lines", "SalesOrderLines" and "SALES_ORDER_LINES" are read alike:
 * small Latin letters, digits and underscores.  Accents are dropped and Cyrillic
 * is transliterated, so that the vocabulary is plain ASCII and this script can be
 * read under every server encoding.  A database of locale C knows no small letters
 * but these, so neither are others asked for.
 */
CREATE FUNCTION agentcrm.propose_plain(name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	plain text := name COLLATE "C";
	upper_cyrillic text;
	cyrillic text;
BEGIN
	IF plain ~ '[^\u0001-\u007f]' AND getdatabaseencoding() = 'UTF8' THEN
		SELECT string_agg(chr(c), '' ORDER BY c), string_agg(chr(c + 32), '' ORDER BY c) INTO upper_cyrillic, cyrillic FROM generate_series(1040, 1071) c;
		plain := regexp_replace(normalize(replace(plain, chr(223), 'ss'), NFD), '[\u0300-\u036f]', '', 'g');
		plain := regexp_replace(plain, '([a-z0-9\u0430-\u044f])([A-Z\u0410-\u042f])', '\1_\2', 'g');
		plain := translate(plain, upper_cyrillic, cyrillic);
		plain := replace(replace(replace(replace(replace(plain, chr(1078), 'zh'), chr(1095), 'ch'), chr(1096), 'sh'), chr(1102), 'yu'), chr(1103), 'ya');
		plain := translate(plain, cyrillic, 'abvgdezziiklmnoprstufhccss_y_eyy');
		plain := translate(plain, chr(322) || chr(321) || chr(248) || chr(216) || chr(305) || chr(1110) || chr(1030), 'lloOiii');
	END IF;
	plain := lower(regexp_replace(plain, '([a-z0-9])([A-Z])', '\1_\2', 'g') COLLATE "C");
	RETURN btrim(regexp_replace(plain, '[^a-z0-9]+', '_', 'g'), '_');
END $$;
COMMENT ON FUNCTION agentcrm.propose_plain(text) IS 'Internal: a name in small ASCII letters and underscores';

-- A name without its ending: customer and customers, Kunde and Kunden, pedido and pedidos are the same.
CREATE FUNCTION agentcrm.propose_root(plain text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN length(root) >= 3 THEN root ELSE regexp_replace(whole, '(?<=..)s$', '') END
	FROM (SELECT whole, regexp_replace(whole, '[aeiouyns]+$', '') AS root FROM (SELECT replace(plain, '_', '') AS whole) AS w) AS r
$$;
COMMENT ON FUNCTION agentcrm.propose_root(text) IS 'Internal: a name without underscores and without its ending';

-- What is left of the name of a reference when its affixes and its ending are gone: customer of CustomerNo, kund of Kunden_ID.
CREATE FUNCTION agentcrm.propose_stem(plain text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.propose_root(coalesce(nullif(regexp_replace(regexp_replace(plain, '^(fk|id|ref|cod|code|num|nr|no|k)_', ''),
		'_?(id|fk|key|no|nr|num|number|code|cod|cd|ref|uuid|guid|oid|sk|pk|nummer|numero|nomer|kod|rowid|uid)$', ''), ''), plain))
$$;
COMMENT ON FUNCTION agentcrm.propose_stem(text) IS 'Internal: what the name of a reference refers to';

-- In a pattern, < and > stand for the ends of a word of the name; a plural ending is allowed before >.
CREATE FUNCTION agentcrm.propose_words(kind text) RETURNS TABLE (word text, pattern text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT v.word, replace(replace(v.pattern, '<', '(^|_)'), '>', '(e?s)?(_|$)') FROM (VALUES
		('table', 'order', 'order|ordr$|bestell|auftr[ae]+g|command[ae]|pedido|ordine>|ordini|encomend|zakaz|zamowien|objednav|siparis|tilaus|bestilling|ordre|cohead|coitem|<so>|vbak|vbap'
			'|juchu|chumon|porudzb|narudzb|rendeles|comanda|zamerne|verkauf|vente>|venta>|vendite|vendita|venda>|<sale|sale>|sprzedaz|prodazh|realizac|salg|<verkoop|sales'),
		('table', 'invoice', 'invoice|rechnung|faktur|factur|fattur|fatura|account_move|<bill>|schet|nakladn|lasku|uriage|seikyu'),
		('table', 'doc', '<doc>|<hdr>|testat[ae]|entete>|dokument|document|beleg|transact|receipt|<deal>|<trx>|<bon>|vorgang|header|<head>|kopf|purchas'),
		('table', 'line', 'line|detail|<det>|<dtl>|det$|item|<pos>|posit|pos$|zeile|ligne|linea|riga>|righe|linha|regel|strok|pozic|pozyc|entry|entries|<row>|vbap|coitem|meisai|itens>|polozk|pozycj|product_lookup|_products$|_articles$|content'),
		('table', 'client', 'client|customer|<cust|kund|klient|debitor|debtor|partner|party$|parties|societe|<tiers|kontragent|kontrahent|pokupatel|buyer|acheteur|dealer|asiakas|kna1|odberatel|zakaznik|musteri|klant|tokuisaki|kokyaku|resell|retailer|pharmac|apothek|apotek|farmaci|outlet|subscriber|patron'),
		('table', 'client2', 'account|compan|contact|organi[sz]ation|shop>|store>|member|firma|person|patient|<entity|entities|empresa|entreprise|azienda|partie|unternehm|household|address_book|loyalty|anagrafic|counterpart|grossist|practice|clinic|hotel|restaurant'),
		('table', 'user', 'user|<usr|login'),
		('table', 'rep', '<rep>|represent|sales_?(man|men|person|people|rep|agent|team)|slsmn|seller|employe|vertreter|verkaufer|mitarbeiter|vendeur|commerci[ao]|agent|vendedor|venditor|staff|manager|menedzher|sotrudnik|emplead|operator|tanto|pracowni|executive'),
		('table', 'product', 'product|<prod>|item|<itm>|artik|article|articul|articol|artigo|<art>|sku|goods|<ware>|waren|tovar|nomenklat|towar|variant|merchandise|stock|material|mara|<parts?$|produit|produkt|producto|prodott|produto|tuote|zbozi|urun|<vare|shohin|<drugs?$|medicin|beverage|catalogue_item'),
		('table', 'vendor', 'purch|einkauf|achat|compra|acquist|supplier|vendor|fournisseur|lieferant|proveed|fornitor|fornecedor|zakup|postavsh|postavs|dostaw|procure|(^|_)po(_|$)|kreditor|creditor|leveranc|inkoop|indkob|toimittaj|replenish|<pohead|<poitem|shiire|hacchu|<acq|brewery|manufacturer|fabricante'),
		('table', 'quote', 'quot|estimat|angebot|devis|propal|presupuest|cotizac|preventiv|orcament|<offer|proposal|<cart>|<carts?$|shopping|basket|warenkorb|panier|carrit|wish|template|recurr|subscription|blanket|<rfq|<lead|opportunit|pipeline|forecast|budget|predlozh|korzin|draft|abandon|reserv|oferta|request|saved|contract|mitsumori|<prev>|standing|parked'),
		('table', 'archive', 'archiv|histor|<hist>|hist$|<hst>|<old>|<bak>|[a-z]{4}bak$|backup|<bk>|<copy>|kopie|<tmp|<temp>|<stag|<stg|<log>|logs$|audit|<deleted|trash|snapshot|<zz|<raw>|<import|<export|<dump|<test>'
			'|(19|20)[0-9][0-9](_?[01][0-9])?$|<sync|queue|<cache|revision|<version|legacy|obsolete|<arc>|_arch$|<bkp|landing|<etl|summary|report|statistic|_stats$|aggregat|migrat|<z_|<edi'),
		('table', 'other', 'status|state>|statut|type>|tax|payment|paiement|zahlung|<pago|<pay|shipment|shipping|deliver|lieferung|versand|livraison|expedition|envio|address|adress|direcc|<note>|comment|attach|pric(e|ing)|preis|discount|promo|coupon'
			'|picking|<move|stock_move|warehouse|return|refund|credit(?!.*account)|rma|retour|currency|country|city|message|mail|activit|task|<tag>|rel$|translation|carrier|rate>|setting|config|permission|group>|categor|option|attribute|adjust'
			'|fulfil|alloc|event|notif|media|image|<bom|production|work_?order|manufact|service_order|transfer|transition|hold|approv|refer|commission|serial|schedule|link>'),
		('column', 'client', 'client|customer|<cust|kund|<kd|klient|debitor|debtor|partner|party|societe|<soc>|<tiers|kontragent|kontrahent|pokupatel|buyer|acheteur|dealer|asiakas|odberatel|sold_to|bill_to|zakaznik|klant|<bp>|acct|kunnr|tokuisaki|kokyaku|resell|retailer|pharmac|outlet|adr_nr|card_?code|<codcf>|<cli>'),
		('column', 'product', 'product|<prod>|<prod_?(id|code|no|nr|num|key)$|purchas(ed|able)_?(entity|item|id)|item|<itm>|artik|article|articul|articol|artigo|<art>|sku|goods|tovar|nomenklat|towar|variant|stock_?(item|code)|material|produit|produkt|prodott|produto|<part>|art_?(nr|no|num|id|code)|<ean|barcode|matnr|<vare|shohin|<ndc>|<drug'),
		('column', 'order', 'order|invoice|bestell|auftrag|command|pedido|ordine|zakaz|zamow|<doc>|document|dokument|beleg|rechnung|factur|faktur|fattur|sale|transact|receipt|bon>|<so>|vorgang|fatura|ticket|voucher|juchu|pedido|<ped>'),
		('column', 'rep', '<rep>|sales_?(man|person|rep|agent)|slsmn|seller|employe|vertreter|verkaufer|mitarbeiter|vendeur|commercial|<agent|vendedor|venditor|staff|manager|menedzher|sotrudnik|emplead|user|owner|assigned|operator|responsab|executive|taken_by|tanto|<prac>|<slp>|slsm|codage|cod_vend|handled_by|account_manager'),
		('column', 'qty', 'qty|quant|meng(e|$)|anzahl|cantidad|<cant>|quantid|qta|qtd|aantal|ilosc|kolich|<kol>|kolvo|^units?$|<units$|<count$|piece|<stk|stuck|<pcs|antal|<num$|<qte|volume_ordered|suryo|<cases?$|<boxes$|kwmeng|qtde|ilosc|adet|maara'),
		('column', 'qty_bad', 'deliver|<dlv|invoic|ship|cancel|receiv|return|reserv|pick|back|open|hand|<min|<max|pack|per_|_per|bill|multipl|conver|old|refund|free|bonus|remain|alloc|transferred|produced|planned|availab|required|stock|geliefert|livr|entreg|step|break'),
		('column', 'price', 'price|prix|preis|precio|prezzo|preco|<pu>|<pvp|unit_amount|amount_unit|unit_amt|unit_value|tsena|cena|tarif|<rate$|<rate_|pris$|prijs|fiyat|einzel|valor_unit|importe_unit|unitario|stavka|<tanka|preis$|vl_unit|netpr|cijena'),
		('column', 'price_bad', 'cost|list|old|original|initial|purchase|standard|msrp|compare|average|reduce|regular|margin|ek>|einkauf|before|catalog|base_uom|special|min_|_min|gross|ttc|brut|incl'),
		('column', 'total', 'total|amount|sales_?amount|<amt|amt>|amt$|betrag|montant|importe|importo|summ|<sum>|ext(ended)?_?price|line_price|netto|<net|net$|wert|valor|revenue|turnover|umsatz|value|gesamt|<ht>|extended|bedrag|kwota|wartosc|stoim|belop|ttc|itogo|subtot|^sales$|kingaku|netwr|iznos|tutar'),
		('column', 'money_bad', 'adjust|shipping|freight|fracht|port>|<fee|margin|cost|profit|weight|volume|paid|due|balance|point|commission|foreign|multicurrency|multi_curr|refund|credit|cancel|payment|surcharge|deposit|invoiced|tip|wallet|gift|residual|round|count|qty|quant|insurance|handling|saving|prepaid|downpay|to_invoice|_max|_min|limit|list'),
		('column', 'net', '<net|net>|net$|netto|<ht>|_ht$|hors|untax|pre_?tax|excl|ex_?(vat|tax)|without_?(tax|vat)|before_?tax|ohne|bez_?nds|imponib|zeinuki|netwr|sub_?tot|neto|taxable|no_tax|sin_iva|item_?s?_total|lines_total|merchandise|goods'),
		('column', 'gross', 'gross|brut|ttc|incl|with_?(tax|vat)|inkl|after_?tax|s_?nds|zeikomi|con_?iva|grand|payable'),
		('column', 'tax', 'tax|<vat|vat>|vat$|mwst|<ust|<iva>|tva|nds>|moms|btw|<gst|<vat|shohizei|<ipi>|<icms'),
		('column', 'discount', 'disc|rabat|remise|descuento|<dto|sconto|descont|skidk|rebate|promo|reduct|nachlass|korting'),
		('column', 'base', 'base|company|local|functional|home|domestic|mandant'),
		('column', 'ordered', 'ord(er|ered)?_?(date|at|on|time|day|dt)>|(inv|tran|trans)_?dat|effective_?dat|date_?order|placed|date_?command|bestell_?(dat|am)|auftrags?_?dat|purchased?_(at|on|date)|complet(ed|ion)|confirm|submitted|posting|transaction_dat|invoice_?dat|date_?(valid|invoice|sale|acct|vente|facture|pedido)'
			'|rechnungs?_?dat|beleg_?dat|fecha_?(pedido|venta|factura|orden|emision)?$|<data(_ordine|_zakaz|_pedido|_sprzedazy)?$|datum$|<date$|<day$|sale_?dat|sold|doc(ument)?_?dat|issue|datf|<datef$|booked|approved|date_order|<dated?$|order_dat|dt_(pedido|emissao|venda)|(so|ord|order|inv|sale|doc)_dt>|zakaz|juchu_bi|datadoc|<bi>|<when|<time(stamp)?$|data_zam'),
		('column', 'created', 'creat|<ctime>|insert|added|date_add|add_date|entered|erstell|angelegt|regist|datec|entry|record|erfasst|creac|creazione|sozdan|crdate|utworz|toroku|erdat|angelegt|dt_cad'),
		('column', 'late', 'updat|<mtime>|modif|chang|write|edit|<dlv|due|requir|ship|deliver|liefer|livr|cancel|delet|birth|paid|payment|expir|tms|sync|promis|request|desired|wunsch|<end|clos|last|next|sent|print|receiv|archiv|commit|effective|schedul|remind|export|return|entreg|previst|plan|void|refund|follow|lock|access|valid_|expected|faellig|fallig|storno|hire|verified|import|start|until|vence|fulfil|check_in|(^|_)po_'),
		('column', 'status', 'status|<sts>|situacao|state|statut|estado|zustand|stato|<stav|etat|stage|phase|sosto|situac|durum|<tila|jotai|<zust|doc_state'),
		('column', 'status_bad', 'pay|ship|deliver|invoic|fulfil|print|export|sync|checkout|country|bill|address|approv|picking|tax|mail|previous|old|old_|prior|region|liefer|zahl|livr|stock|credit|fraud|versand|<sub'),
		('column', 'type', 'type|<kind|<art$|<typ|typ$|tipo|nature|issotrx|is_so_trx|direction|is_sale|side$|<class(_id|_no|_code)?$|<vid|rodzaj|purpose|<art_|belegart|auftragsart|vbtyp|beleg_?typ|vid_dok'),
		('column', 'currency', 'currenc|<curr$|<curr_|<ccy|wa?e?hrung|devise|moned|valuta|divisa|moeda|waluta'),
		('column', 'rate', 'rate|kurs|_tx$|taux|cambio|<fx|convers|exchange')
	) AS v(kind, word, pattern) WHERE v.kind = propose_words.kind
$$;
COMMENT ON FUNCTION agentcrm.propose_words(text) IS 'Internal: vocabulary for names of tables or of columns: what they may mean, by pattern';

-- Pattern by pattern, for only some thirty compiled ones are kept.
CREATE FUNCTION agentcrm.propose_meaning(kind text, names text[]) RETURNS TABLE (name text, words text[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT f.name, array_agg(v.word) FROM agentcrm.propose_words(kind) v
	CROSS JOIN LATERAL (SELECT n AS name FROM unnest(names) n WHERE n ~ v.pattern OFFSET 0) f GROUP BY f.name
$$;
COMMENT ON FUNCTION agentcrm.propose_meaning(text, text[]) IS 'Internal: what names may mean';

/*
 * A value of a status or type column in words; company is all values of the
 * column, for "sent" is a quote beside "sale".  Unpaid is an order that waits for
 * its payment before anything is done about it.
 */
CREATE FUNCTION agentcrm.propose_reading(value text, company text[] DEFAULT '{}') RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN v ~ '^(dr|d|na|ip)$|draft|cart|basket|incompl|brouillon|entwurf|borrador|bozza|rascunho|concept|koncept|szkic|roboc|chernov|cernov|rozprac|utkast|kladde|luonnos|taslak|piszkozat|ciorna|provis|digitac|saisie|template|wish|abandon|temporar|parked|unconf|not_conf|unbest|tmp|recurring|training|(^|_)(test|demo|sandbox|dummy)(_|$)|(not|non|nicht|nie|nao)_(yet_)?(finish|complet|submit|plac|abgeschl|termin|zakoncz|finali)|un_?(finish|complet|submit)' THEN 'draft'
		WHEN v ~ '^(vendor_)?bills?$' AND company && '{invoice,invoices}' THEN 'purchase'
		WHEN v ~ '^q$|quot|offer|angebot|devis|presup|cotiz|estim|propos|preventiv|predloz|nabid|tilbud|tarjous|teklif|ajanlat|mitsumori|oferta|rfq|inquir|anfrage|orcament|pro_?forma' THEN 'quote'
		WHEN v = 'sent' AND company && '{sale,sales,sold,confirmed,ordered,done}' THEN 'quote'
		WHEN v ~ 'un_?paid|(not|no)_?(yet_)?paid|(pending|await[a-z]*|waiting|wait|expect[a-z]*)_(for_)?([a-z]+_)*(payment|deposit|prepay)|payment_(pending|awaiting|await[a-z]*|due|required|outstanding|review)|(un|nicht_)bezahlt|zahlung_?(offen|aussteh|erwart)|vorkasse_offen|wart[a-z]*_auf_zahlung|impay|non_(paye|regle)|attente_(de_|du_|d_)?(paiement|reglement)|(sin|no)_pag|impagad|pendiente_(de_)?pago|pago_pendient|esperando_(el_)?pago|non_pagat|insolut|(attesa|attende)_(di_|del_)?pagament|pagamento_(in_attesa|pendent)|(aguard|esper)ando_(o_)?pagament|nao_pag|nieoplac|niezapl|(oczek|czeka)[a-z]*_(na_)?(platn|wplat|zaplat|oplat)|(ne|nie)_?(oplac|oplat)|ozhid[a-z]*_oplat|onbetaald|niet_betaald|(wacht|in_afwachting)[a-z_]*betaling|ubetal|obetal|(vente|vanta)r_pa_betal|(odeme|odemesi)_bekl|ceka[a-z]*_(na_)?(platb|zaplac|uhrad)|nezaplac|neuhraz|fizetesre_var|neplat' THEN 'unpaid'
		WHEN v ~ 'partial|teil|(^|_)parc' AND v !~ 'cancel|storn|annul' THEN 'sale'
		WHEN v ~ '^(x|v|vo|re|rej|in|ca|can|cn|cx|canc)$|cancel|annul|anul|storn|void|reject|rechaz|rejeit|recus|rifiut|respin|refus|declin|delet|trash|lost$|fail|fallid|fallit|falh|echou|echec|mislukt|fraud|abgelehnt|ablehn|abgebroch|widerruf|geloscht|geloesch|supprim|elimin|excluid|otmen|otkaz|otklon|udalen|prosroch|odrzuc|wycofan|usunie|niewazn|zrus|zamit|odmit|avbrut|avbryt|afbrudt|makuler|slettet|raderad|avvis|afvist|peru(ut|tt|te)|hylat|hylk|torol|visszavon|elutas|invalid|denied|error|expired|caduc|verlopen|afgewez|geweiger|withdrawn|dropped|geannul|verworfen|gesperrt|iptal|torikeshi|kyanseru|batal|revok|terminated|chargeback' THEN 'cancelled'
		WHEN v ~ 'purch|^vend_|einkauf|achat|compra|vendor|supplier|^po$|^in_(invoice|refund|receipt)|acquist|zakup|procure|^buy|lieferant|bestellung_l' THEN 'purchase'
		WHEN v ~ 'return|refund|reimburs|rembours|reembols|rimbors|erstatt|(^|_)rma|retour|ruck|cred(it|_|$)|gutschrift|avoir|abono|devol|reso$|vozvrat|zwrot|zwroc|vracen|henpin' THEN 'return'
		WHEN v ~ 'sale|sold|confirm|complet|done|ship|deliver|paid|inv(oic|c_|c$)|process|approv|fulfil|clos|accept|order|finish|final|success|valid|book|post|bestatigt|bestaetigt|geliefert|bezahlt|abgeschl|erledigt|versend|versandt|bearb|fakturiert|berechnet|freigegeb|kommission|angenomm|abgerechn'
			'|livr|termin|factur|pagad|pagat|entreg|cumpl|enviad|conferm|evas|spedit|chius|vypoln|oplac|dostav|otgruz|zaversh|zavers|podtverz|podtverzh|zreal|wyslan|zakonc|ready|pick|pack|dispatch|transit|progress|releas|print|back_?ord|^(ok|yes|y|co|cl|ap|t|true)$|payee|pay[ee]|regle|verkauf|vente|venta|prodaz|expedi|clotur|cerrad|despach|aprob|servid|lavoraz|aprov|fatur|conclu|pago$|prepar|vorbereit'
			'|bevestig|verzond|geleverd|betaald|afgerond|voltooid|verwerk|afgehand|potwierdz|realiz|oplacon|dostarcz|zaplacon|przyjet|zafakt|oplach|oplat|vydan|prinyat|sobran|soglas|proveden|potvrz|odeslan|doruc|dokonc|zaplacen|vyrizen|uhrazen|bekraft|bekreft|bekraeft|levere|skick|afsendt|betal[dt]|betalad|avslut|afslut|ferdig|fullfor|vahvist|toimit|maksett|laskut|valmis|onay|teslim|gonder|odendi|tamaml|hazirlan|kargo|visszaigaz|szallit|fizetve|teljes|livrat|platit|kakutei|shukka|kanryo|nyukin|hasso|selesai|dikirim|lunas|settled|captured|(^|_)(authori[sz]|activat)' THEN 'sale'
		WHEN v ~ 'pending|open|new|hold|overdue|vencid|scadut|fallig|faellig|submit|wait|await|offen|^neu|nov|abiert|pendient|pendent|nuev|apert|abert|nuov|ouvert|en_cours|attente|attesa|aguard|receiv|activ|queue|schedul|regist|enter|creat|otkryt|ozhid|przyj|nowe|nowy|ontvang|nieuw|otevr|prijat|uusi|avoin|yeni|bekl|eingegang|eingang|angelegt|oppen|mottat|modtag' THEN 'open'
		WHEN v <> '' OR getdatabaseencoding() <> 'UTF8' THEN 'unknown'	-- what plain letters do not say: Chinese, Japanese, Korean
		WHEN value ~ '\u53d6\u6d88|\u4f5c\u5e9f|\u5e9f\u5f03|\u5df2\u62d2|\u5173\u95ed|\u5931\u8d25|\u5220\u9664|\u30ad\u30e3\u30f3\u30bb\u30eb|\u53d6\u308a\u6d88|\u5374\u4e0b|\ucde8\uc18c|\uc2e4\ud328' THEN 'cancelled'
		WHEN value ~ '\u672a\u4ed8|\u672a\u652f\u4ed8|\u5f85\u4ed8|\u5f85\u652f\u4ed8|\u672a\u5165\u91d1|\u5165\u91d1\u5f85|\uc785\uae08\s?\ub300\uae30|\uacb0\uc81c\s?\ub300\uae30' THEN 'unpaid'
		WHEN value ~ '\u8349\u7a3f|\u4e0b\u66f8|\u4eee|\u672a\u63d0\u4ea4|\uc784\uc2dc' THEN 'draft'
		WHEN value ~ '\u62a5\u4ef7|\u5831\u50f9|\u898b\u7a4d|\uacac\uc801' THEN 'quote'
		WHEN value ~ '\u9000\u8d27|\u9000\u6b3e|\u9000\u8ca8|\u8fd4\u54c1|\u8fd4\u91d1|\ubc18\ud488|\ud658\ubd88' THEN 'return'
		WHEN value ~ '\u5b8c\u6210|\u5b8c\u4e86|\u5df2\u53d1|\u53d1\u8d27|\u51fa\u8377|\u767a\u9001|\u5df2\u4ed8|\u5df2\u652f\u4ed8|\u5df2\u6536|\u5df2\u786e|\u5df2\u5ba1|\u786e\u8ba4|\u78ba\u5b9a|\u53d7\u6ce8|\u5165\u91d1\u6e08|\u914d\u9001|\uc644\ub8cc|\ubc30\uc1a1|\ud655\uc815' THEN 'sale'
		WHEN value ~ '\u5f85|\u65b0\u5efa|\u65b0\u898f|\u5904\u7406\u4e2d|\u8fdb\u884c\u4e2d|\ub300\uae30|\uc9c4\ud589' THEN 'open'
		ELSE 'unknown' END
	FROM (SELECT agentcrm.propose_plain(value) AS v) AS plain
$$;
COMMENT ON FUNCTION agentcrm.propose_reading(text, text[]) IS 'Internal: what a status says of an order: sale, open, unpaid, draft, quote, cancelled, return, purchase or unknown';
